"""One caller's view of an account's admission: which limits and budgets concern it, and how near they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from gateway.admission.standing import Standing
from gateway.admission.types import BudgetInUse, Left, Rate
from kit.tokens import Caller


@dataclass(frozen=True, slots=True)
class OwnStanding:
    """`account` as admission's script sees it, for one caller."""

    account: Standing
    caller: Caller
    project_id: UUID | None

    @property
    def left(self) -> Left:
        units = self.account.units
        return Left(
            credit_nano=units["credit"].available,
            tokens=units["token"].available,
            requests=units["request"].available,
            overage_nano=units["overage"].available,
        )

    @property
    def budgets(self) -> Sequence[BudgetInUse]:
        """Those that a call of this caller counts against."""
        caller = self.caller
        own = {"member": caller.user_id, "project": self.project_id, "api_key": caller.api_key_id}
        return [one for one in self.account.budgets if one.scope == "account" or _is(own.get(one.scope), one.scope_id)]

    @property
    def concurrency(self) -> Rate | None:
        most = self.account.terms.limits.concurrency
        return None if most is None else Rate(most, max(0, most - self.account.open_calls))

    @property
    def member_concurrency(self) -> Rate | None:
        most = self.account.terms.limits.member_concurrency
        open_calls = self.account.open_by_member.get(self.caller.user_id, 0)
        return None if most is None else Rate(most, max(0, most - open_calls))

    @property
    def is_near(self) -> bool:
        """Whether no more than the plan's `near_limit` share of the allowance is left."""
        account, near = self.account, self.account.terms.terms.near_limit
        if near is None or account.granted is None or account.granted_unit is None:
            return False
        return account.units[account.granted_unit].available <= account.granted * near.percent_left // 100


def _is(own: UUID | None, scope_id: str) -> bool:
    return own is not None and own == UUID(scope_id)
