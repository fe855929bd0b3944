from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contracts.money import AccountState


@dataclass(slots=True)
class Account:
    """A paying party's row; it changes only while it is locked. `version` is that of its admission state."""

    id: UUID
    state: AccountState
    version: int
    auth_version: int
    plan_id: str | None
    plan_version: int | None
    subscription_id: str | None
    activated_at: datetime | None
    debt_nano: int
    transfer_seq: int
    arming: int
    armed_base: int
    crossed: list[str]

    @property
    def plan(self) -> tuple[str, int] | None:
        if self.plan_id is None or self.plan_version is None:
            return None
        return self.plan_id, self.plan_version
