"""What a plan version decides about charges, periods and room."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.billing import Allowance, PlanPublished
from contracts.money import MAX_AMOUNT, Unit
from kit.ids import fact_id
from ledger.domain.account import Account
from ledger.domain.grants import NANO_PER_MINOR, Grant, GrantSource
from ledger.domain.periods import Interval, Period, prorated
from rating.plan_tokens import PlanWeights, Weight, overage_of


class PlanRates:
    """How a plan version pays for calls; made once per version."""

    __slots__ = (
        "collect",
        "counts_tokens",
        "nano_per_1k_tokens",
        "overage_policy",
        "price_nano",
        "request_max_price_nano",
        "weights",
    )

    def __init__(self, plan: PlanPublished | None = None) -> None:
        terms = plan.terms if plan else None
        self.weights = PlanWeights(
            Weight(one.model, one.token_class, one.hundredths) for one in (terms.weights if terms else ())
        )
        self.request_max_price_nano = terms.request_max_price_nano if terms else None
        self.overage_policy = terms.overage.policy if terms else "block"
        self.nano_per_1k_tokens = terms.overage.nano_per_1k_tokens if terms else None
        self.collect = (terms.overage.collect if terms else None) or "meter"
        self.price_nano = plan.price_minor * NANO_PER_MINOR if plan else 0
        limited = {one.unit for one in plan.soft_limits} if plan else set()
        self.counts_tokens = self.nano_per_1k_tokens is not None or Unit.TOKEN in limited

    def overage_room(self, account: Account) -> int:
        """What may still be billed later in the running period.

        Up to the customer's ceiling; without one, as much again as the plan costs, where a payment method is on file.
        """
        return max(0, self.overage_ceiling(account) - account.period_overage_nano)

    def overage_ceiling(self, account: Account) -> int:
        if self.overage_policy != "bill":
            return 0
        if account.overage_ceiling_nano is not None:
            return min(account.overage_ceiling_nano, MAX_AMOUNT)
        return self.price_nano if account.has_payment_method else 0

    def overage_nano(self, *, tokens: int, price_nano: int) -> int:
        """What all of a call would cost past the plan."""
        return overage_of(tokens, price_nano=price_nano, nano_per_1k_tokens=self.nano_per_1k_tokens)


ORDINARY: Final = PlanRates()
Plans = Mapping[tuple[str, int], PlanRates]


def interval_of(plan: PlanPublished) -> Interval:
    return "year" if plan.interval == "year" else "month"


def has_periods(plan: PlanPublished) -> bool:
    """Whether something of the plan is counted per period, if by nobody else then by the ledger's calendar."""
    return plan.renewal != "none" or bool(plan.soft_limits) or plan.terms.overage.policy != "block"


def period_allowances(plan: PlanPublished) -> list[Allowance]:
    """What the ledger itself gives per period: a subscription's come with its payments."""
    if plan.renewal != "ledger":
        return []
    return [allowance for allowance in plan.allowances if allowance.valid_days is None and allowance.amount > 0]


def allowance_rule(plan_id: str, allowance: Allowance) -> str:
    return f"allowance:{plan_id}:{allowance.rule}"


def is_of_plan(grant: Grant, plan_id: str) -> bool:
    """Whether the ledger gave this grant for a period of the plan."""
    return grant.rule.startswith(f"allowance:{plan_id}:")


def subscription_rule(plan_id: str) -> str:
    return f"subscription:{plan_id}"


def period_grant(
    plan: PlanPublished, allowance: Allowance, *, account_id: UUID, period: Period, starts_at: datetime, now: datetime
) -> Grant | None:
    """A period's grant, of its rest's share where it starts later; None where that is nothing."""
    amount = allowance.amount
    if starts_at > period.starts_at:
        amount = prorated(amount, whole=period, starts_at=starts_at)
    if amount <= 0:
        return None
    rule = allowance_rule(plan.plan_id, allowance)
    return Grant(
        id=fact_id("grant", account_id, rule, period.name, now),
        account_id=account_id,
        source=GrantSource.PLAN,
        unit=allowance.unit,
        amount=amount,
        remaining=amount,
        priority=allowance.priority,
        starts_at=starts_at,
        expires_at=period.ends_at,
        rule=rule,
        period=period.name,
        payment_id=None,
        paid_minor=None,
        created_at=now,
    )


def once_allowances(plan: PlanPublished) -> list[Allowance]:
    """What a plan gives once, at activation."""
    return [one for one in plan.allowances if one.valid_days is not None and one.amount > 0]


def rolled_most(plan: PlanPublished, grant: Grant, left: int) -> int:
    """How much of what is left of a period's grants of one rule moves on into the next period."""
    allowance = _allowance_of(plan, grant)
    if allowance is None or allowance.roll_over == "none":
        return 0
    if allowance.roll_over == "capped":
        return min(left, allowance.roll_over_cap or 0)
    return left


def _allowance_of(plan: PlanPublished, grant: Grant) -> Allowance | None:
    rule = grant.base_rule
    for allowance in plan.allowances:
        rules = (allowance_rule(plan.plan_id, allowance), subscription_rule(plan.plan_id))
        if allowance.valid_days is None and allowance.unit is grant.unit and rule in rules:
            return allowance
    return None
