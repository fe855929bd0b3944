from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contracts.money import AccountState, Unit

_CREDIT, _TOKEN, _REQUEST = Unit.CREDIT, Unit.TOKEN, Unit.REQUEST


@dataclass(slots=True)
class Account:
    """A paying party's row; it changes only while it is locked. `version` is that of its admission state.

    `period_…` count what was used in `[period_start, period_end)`; `due_at` is when time alone changes something next.
    """

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
    armed_tokens: int = 0
    armed_requests: int = 0
    levels: str | None = None
    markup_bps: int | None = None
    settings_version: int = 0
    overage_ceiling_nano: int | None = None
    has_payment_method: bool = False
    period_start: datetime | None = None
    period_end: datetime | None = None
    period_calls: int = 0
    period_tokens: int = 0
    period_value_nano: int = 0
    period_overage_nano: int = 0
    overage_carry: int = 0
    due_at: datetime | None = None
    head: bytes | None = None
    frozen: bool = False
    payment_problem: str | None = None
    has_budgets: bool = False

    @property
    def standing(self) -> AccountState:
        """What gateways go by: an operator's hold freezes what is open, whatever auth says next."""
        return "frozen" if self.frozen and self.state == "open" else self.state

    @property
    def armed(self) -> list[tuple[Unit, int]]:
        """What each unit's thresholds are measured against, where they are."""
        if not self.armed_tokens and not self.armed_requests:
            return [(_CREDIT, self.armed_base)] if self.armed_base > 0 else []
        bases = ((_CREDIT, self.armed_base), (_TOKEN, self.armed_tokens), (_REQUEST, self.armed_requests))
        return [(unit, base) for unit, base in bases if base > 0]

    @property
    def plan(self) -> tuple[str, int] | None:
        if self.plan_id is None or self.plan_version is None:
            return None
        return self.plan_id, self.plan_version
