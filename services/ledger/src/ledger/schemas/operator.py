"""What operators change and check."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from kit.http import RequestModel, ResponseModel
from ledger.schemas.amounts import AmountCredits, PositiveCredits, Reason


class AdjustmentRequest(RequestModel):
    """Credits to give (a grant) or, negative, to take."""

    account_id: UUID
    amount_credits: AmountCredits
    reason: Reason
    expires_in_days: int | None = Field(None, strict=True, ge=1, le=3650)
    allow_debt: bool = Field(default=False, strict=True)


class AdjustmentAnswer(ResponseModel):
    """What the adjustment did."""

    adjustment_id: UUID
    account_id: UUID
    amount_credits: str
    grant_id: UUID | None
    available_credits: str
    debt_credits: str
    version: int
    created_at: datetime


class BooksAnswer(ResponseModel):
    """The check of the books: each unit sums to zero, and every stored balance is what its transfers say."""

    units: dict[str, str]
    balanced: bool
    accounts_checked: int
    differences: list[str]


class RefundRequest(RequestModel):
    """A call to give back: all that is left of its charge, or that many credits of it."""

    account_id: UUID
    request_id: UUID
    amount_credits: PositiveCredits | None = None
    reason: Reason


class RefundAnswer(ResponseModel):
    """What was given back, by unit."""

    refund_id: UUID
    account_id: UUID
    request_id: UUID
    returned_credits: str
    returned_tokens: int
    returned_requests: int
    available_credits: str
    debt_credits: str
    version: int


class FreezeRequest(RequestModel):
    """Why an account is frozen or thawed."""

    reason: Reason


class FreezeAnswer(ResponseModel):
    """Whether the account is held; `version` is that of the snapshot that tells gateways."""

    account_id: UUID
    frozen: bool
    version: int


class MarginRow(ResponseModel):
    """One subject: `revenue_credits` is what was paid for its calls; `margin_bps` of it is left, None without any."""

    subject: str
    calls: int
    value_credits: str
    price_credits: str
    revenue_credits: str
    cost_credits: str
    fee_credits: str
    margin_credits: str
    margin_bps: int | None


class MarginAnswer(ResponseModel):
    """Recognised revenue less provider cost less payment fees, over whole UTC days.

    Fees are those of the window's payments: an account's own; models and plans share them by revenue.
    """

    by: str
    starts_on: date
    ends_before: date
    items: list[MarginRow]
    next_cursor: str | None = None


class Outstanding(ResponseModel):
    """What accounts may still use of a unit, paid for or given."""

    unit: str
    paid: str
    given: str


class LiabilitiesAnswer(ResponseModel):
    """What is owed to us and by us now; `breakage` is what expired in the window, by unit."""

    as_of: datetime
    indebted_accounts: int
    debt_credits: str
    unbilled_overage_credits: str
    outstanding: list[Outstanding]
    breakage: dict[str, str]


class DebtRow(ResponseModel):
    """An account that owes."""

    account_id: UUID
    debt_credits: str
    state: str
    plan: str | None


class AuditEntry(ResponseModel):
    """A change by a person."""

    id: UUID
    account_id: UUID | None
    actor_user_id: UUID
    action: str
    target: str
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    recorded_at: datetime
