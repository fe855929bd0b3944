"""Notices, their deliveries, and when one is tried again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from notifier.domain.choosing import Later, MailChoice
from notifier.domain.endpoints import MAIL
from notifier.domain.kinds import KINDS, Audience, Priority


class State(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell, once per `dedupe_key`; `payload` holds what the template says, never an address."""

    dedupe_key: str
    kind: str
    audience: Audience
    occurred_at: datetime
    account_id: UUID | None = None
    message_id: UUID | None = None
    user_id: UUID | None = None
    channel: str = MAIL
    target_id: UUID | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)

    @property
    def priority(self) -> Priority:
        kind = KINDS.get(self.kind)
        return kind.priority if kind else Priority.NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that one worker holds until its lease ends; `attempts` fences off a worker that was too slow.

    `choices` are what people of its account chose for its kind.
    """

    id: UUID
    kind: str
    audience: Audience
    account_id: UUID | None
    message_id: UUID | None
    user_id: UUID | None
    channel: str
    target_id: UUID | None
    payload: Mapping[str, Any]
    attempts: int
    mailed_to: tuple[UUID, ...]
    occurred_at: datetime
    trying_since: datetime
    choices: Mapping[UUID, MailChoice] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery as lists show it."""

    id: UUID
    kind: str
    audience: Audience
    account_id: UUID | None
    channel: str
    state: State
    attempts: int
    reason: str | None
    created_at: datetime
    next_attempt_at: datetime | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended; `mailed_to` names the users (never addresses) who have the mail by now.

    `newly_mailed` are those of this attempt; `bounced` are the keyed hashes of addresses that were refused for good.
    `gone` is what an endpoint says that wants no more.
    """

    state: State
    reason: str | None = None
    mailed_to: tuple[UUID, ...] = ()
    newly_mailed: tuple[UUID, ...] = ()
    later: tuple[Later, ...] = ()
    bounced: tuple[bytes, ...] = ()
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Delays double from `first_s` to `most_s`; what has been tried for `give_up_after_s` is given up."""

    first_s: float = 1.0
    most_s: float = 300.0
    give_up_after_s: float = 86_400.0

    def delay_s(self, attempts: int, *, jitter: float) -> float:
        """Seconds until the next attempt; `jitter` between 0 and 1 takes away up to half."""
        longest = min(self.most_s, self.first_s * 2.0 ** min(attempts - 1, 30))
        return longest * (1 - jitter / 2)

    def ends(self, attempts: int, trying_since: datetime, *, next_attempt_at: datetime) -> bool:
        """Mail servers come back: only time counts, not how often they were asked."""
        return next_attempt_at > trying_since + timedelta(seconds=self.give_up_after_s)


class Patient(Protocol):
    """When something is tried again, and when no more."""

    def delay_s(self, attempts: int, *, jitter: float) -> float: ...

    def ends(self, attempts: int, trying_since: datetime, *, next_attempt_at: datetime) -> bool: ...
