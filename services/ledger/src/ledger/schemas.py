"""What the ledger's routes take and answer. Money is a decimal string in credits."""

import re
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from contracts.money import MAX_AMOUNT, NANO_PER_CREDIT
from kit.http import RequestModel, ResponseModel

_AMOUNT: Final = re.compile(r"-?[0-9]{1,7}(\.[0-9]{1,9})?", re.ASCII)


def credits_of(amount_nano: int) -> str:
    """Nano-credits as a decimal string, exact and without trailing zeros."""
    whole, nano = divmod(abs(amount_nano), NANO_PER_CREDIT)
    fraction = f".{nano:09d}".rstrip("0") if nano else ""
    return f"{'-' if amount_nano < 0 else ''}{whole}{fraction}"


def nano_of(amount_credits: str) -> int:
    """The exact nano-credits of a decimal string that `AmountCredits` let through."""
    whole, _, fraction = amount_credits.removeprefix("-").partition(".")
    nano = int(whole) * NANO_PER_CREDIT + int(fraction.ljust(9, "0"))
    return -nano if amount_credits.startswith("-") else nano


def _amount(text: str) -> str:
    if not _AMOUNT.fullmatch(text):
        raise ValueError('must be a decimal number in a string, like "12.5", with at most nine decimals')
    nano = nano_of(text)
    if nano == 0 or abs(nano) > MAX_AMOUNT:
        raise ValueError("must not be zero, nor beyond 9000000 credits")
    return text


AmountCredits = Annotated[str, AfterValidator(_amount)]


class AdjustmentRequest(RequestModel):
    """Credits to give (a grant) or, negative, to take."""

    account_id: UUID
    amount_credits: AmountCredits
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]
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


class SnapshotRequest(RequestModel):
    """Calls whose entries a gateway still holds."""

    calls: list[UUID] = Field(default=[], max_length=5000)


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


class BalanceAnswer(ResponseModel):
    """What the account may use now; grants in the order in which they burn."""

    account_id: UUID
    state: str
    plan: str | None
    plan_version: int | None
    available_credits: str
    debt_credits: str
    grants: list[GrantLeft]
    thresholds: Thresholds
    version: int
    as_of: datetime


class Transaction(ResponseModel):
    """One movement of the account's credits. Balances are usable credits less debt, as booked; a debt repayment
    moves within the account and leaves them as they were.
    """

    sequence: int
    type: str
    unit: str
    amount_credits: str
    balance_before_credits: str | None
    balance_after_credits: str | None
    grant_id: UUID | None
    request_id: UUID | None
    model: str | None
    reference: str | None
    effective_at: datetime
    created_at: datetime


class RequestSummary(ResponseModel):
    """One call, charged or not."""

    id: UUID
    outcome: str
    basis: str
    model: str
    model_asked: str
    streamed: bool
    surface: str
    http_status: int | None
    error_type: str | None
    counts: dict[str, int]
    price_credits: str
    api_key_id: UUID | None
    project_id: UUID | None
    user_id: UUID | None
    admitted_at: datetime
    first_byte_at: datetime | None
    ended_at: datetime


class PriceLine(ResponseModel):
    """A quantity at a unit price, times a ratio where the call had one. `amount_credits` is before markup."""

    kind: str
    model: str
    quantity: int
    unit_price_credits: str
    ratio: str
    amount_credits: str


class BurntGrant(ResponseModel):
    """What a call took from a grant; None is debt."""

    grant_id: UUID | None
    source: str
    amount_credits: str


class RequestTransfer(ResponseModel):
    """A movement that the call caused."""

    sequence: int
    type: str
    source: str
    target: str
    amount_credits: str
    booked_at: datetime
    effective_at: datetime


class RequestExplained(RequestSummary):
    """Why a call cost what it cost. `cost_credits` is for operators only."""

    route: str
    attempts: int
    service_tier: str | None
    inference_geo: str | None
    speed: str | None
    upstream_request_id: str | None
    iterations: list[dict[str, object]]
    allocation: list[dict[str, object]]
    price_book_version: int
    plan: str | None
    plan_version: int | None
    markup_percent: str
    lines: list[PriceLine]
    grants: list[BurntGrant]
    transfers: list[RequestTransfer]
    cost_credits: str | None = None
    booked_at: datetime


class BooksAnswer(ResponseModel):
    """The check of the books: each unit sums to zero, and every stored balance is what its transfers say."""

    units: dict[str, str]
    balanced: bool
    accounts_checked: int
    differences: list[str]
