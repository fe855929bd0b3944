"""What an account may use, and what moved."""

from datetime import datetime
from uuid import UUID

from kit.http import ResponseModel


class GrantLeft(ResponseModel):
    """What one grant still allows."""

    grant_id: UUID
    source: str
    unit: str
    amount_credits: str | None = None
    remaining_credits: str | None = None
    amount: str | None = None
    remaining: str | None = None
    priority: int
    starts_at: datetime
    expires_at: datetime | None


class Thresholds(ResponseModel):
    """Since the last grant: what could be used then, and which warnings have gone out."""

    arming: int
    base_credits: str
    crossed: list[str]


class UnitLeft(ResponseModel):
    """What may be used of one unit; credits as a decimal."""

    unit: str
    available: str


class BalanceAnswer(ResponseModel):
    """What the account may use now; grants in the order in which they burn.

    Asked for another instant, only amounts are as they were; `thresholds` and `version` are then left out, and
    `overage_accrued_credits` is all that was billed later up to then.
    """

    account_id: UUID
    state: str
    plan: str | None
    plan_version: int | None
    available_credits: str
    debt_credits: str
    overage_accrued_credits: str
    units: list[UnitLeft]
    grants: list[GrantLeft]
    thresholds: Thresholds | None
    version: int | None
    as_of: datetime


class Transaction(ResponseModel):
    """One movement of the account. Credits are decimals, whole tokens and requests stand under the plain names.

    Balances are what was usable of the unit (credits: less debt) as booked; a debt repayment moves within the account
    and leaves them as they were.
    """

    sequence: int
    type: str
    unit: str
    amount_credits: str | None
    balance_before_credits: str | None
    balance_after_credits: str | None
    amount: str | None
    balance_before: str | None
    balance_after: str | None
    grant_id: UUID | None
    request_id: UUID | None
    model: str | None
    reference: str | None
    effective_at: datetime
    created_at: datetime


class BandCredits(ResponseModel):
    """An expected amount between a low and a high one."""

    expected_credits: str
    low_credits: str
    high_credits: str


class RunOutAnswer(ResponseModel):
    """When nothing is left to pay a day's spend; None: not within a year."""

    expected: datetime | None
    earliest: datetime | None
    latest: datetime | None


class ForecastAnswer(ResponseModel):
    """What recent whole days lead to expect; everything is None before the first whole day."""

    account_id: UUID
    method: str
    basis_days: int
    daily_spend: BandCredits | None
    runs_out: RunOutAnswer | None
    period_ends_at: datetime | None
    period_overage: BandCredits | None
    as_of: datetime


class OnboardingAnswer(ResponseModel):
    """Where the account stands on its way to being a customer."""

    account_id: UUID
    stage: str
    plan: str | None
    plan_version: int | None
    as_of: datetime
