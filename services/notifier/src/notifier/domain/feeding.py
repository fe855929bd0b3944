"""The feed that a person reads in an account."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from notifier.domain.delivering import State
from notifier.domain.kinds import Priority, personal_kinds, visible_kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whose feed it is, and what of the account's their role may see."""

    user_id: UUID
    account_id: UUID
    account_kinds: tuple[str, ...]
    personal_kinds: tuple[str, ...]

    @classmethod
    def of(cls, *, user_id: UUID, account_id: UUID, role: str) -> "Reader":
        return cls(
            user_id=user_id,
            account_id=account_id,
            account_kinds=tuple(visible_kinds(role)),
            personal_kinds=tuple(personal_kinds()),
        )

    def sees(self, kind: str, *, account_id: UUID | None, user_id: UUID | None) -> bool:
        """Whether a notice that has just come belongs into this feed."""
        if user_id is not None:
            return user_id == self.user_id and kind in self.personal_kinds
        return account_id == self.account_id and kind in self.account_kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A notice as its readers see it."""

    id: UUID
    kind: str
    priority: Priority
    payload: Mapping[str, Any]
    created_at: datetime
    state: State
    read_at: datetime | None
