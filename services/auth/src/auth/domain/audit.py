"""Who did what to whom, and what may be told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

ActorKind = Literal["user", "operator", "command", "system", "anybody"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who does something, and from which network."""

    kind: ActorKind
    user_id: UUID | None = None
    network: str | None = None


SYSTEM: Final = Actor(kind="system")
COMMAND: Final = Actor(kind="command")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """A signed-in user at work in one of their accounts."""

    user_id: UUID
    account_id: UUID
    session_id: UUID
    operator: bool
    network: str
    client_id: str | None = None
    """The program that acts for them, if it is one that they let in."""

    @property
    def actor(self) -> Actor:
        return Actor(kind="user", user_id=self.user_id, network=self.network)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the log; `before` and `after` hold what changed, never a secret or an address."""

    id: UUID
    at: datetime
    account_id: UUID | None
    actor_kind: ActorKind
    actor_id: UUID | None
    action: str
    target_kind: str
    target_id: UUID
    network: str | None
    reason: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries are asked for; `person_id` is who acted or was acted upon."""

    account_id: UUID | None = None
    person_id: UUID | None = None
    action: str | None = None
