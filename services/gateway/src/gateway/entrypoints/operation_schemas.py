"""Bodies of `/v1/holds` and `/v1/usage`. Money is a decimal string in credits."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field

from kit.http import RequestModel, ResponseModel

MOST_EXPIRES_S: Final = 24 * 3600
MOST_QUANTITY: Final = 1_000_000_000

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$", description="as the price book names it")]
Unit = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$", description="the price book's word; checked if given")]
Quantity = Annotated[int, Field(strict=True, ge=1, le=MOST_QUANTITY)]


class UsageRequest(RequestModel):
    """An operation that a customer's own server has done."""

    operation: Name
    quantity: Quantity = 1
    unit: Unit | None = None
    project: UUID | None = None


class HoldRequest(UsageRequest):
    """An operation that a customer's own server is about to do."""

    expires_in_s: Annotated[int, Field(strict=True, ge=1, le=MOST_EXPIRES_S)] = 600


class ConfirmRequest(RequestModel):
    """What was done: at most what was held, all of it unless said."""

    quantity: Annotated[int | None, Field(strict=True, ge=0, le=MOST_QUANTITY)] = None


class AllocatedAmount(ResponseModel):
    """What is taken from one grant, or from the overage: credits as a decimal, other units whole."""

    slice_id: UUID
    unit: Literal["credit", "token", "request"]
    amount: str


class _Stamped(ResponseModel):
    """`request_id` is the one of `GET /v1/requests/{id}`, where the charge is explained once it is booked."""

    request_id: UUID
    operation: str
    unit: str
    quantity: int
    project_id: UUID | None
    price_book_version: int
    plan: str | None
    plan_version: int | None
    markup_bps: int
    admitted_at: datetime
    allocation: list[AllocatedAmount]


class HoldAnswer(_Stamped):
    """A hold. Its `id` is opaque and can have a few hundred characters."""

    id: str
    state: Literal["held", "expired"]
    amount_credits: str
    expires_at: datetime


class ChargeAnswer(_Stamped):
    """How an operation ended; `price_credits` is zero for what was released."""

    state: Literal["confirmed", "released", "recorded"]
    price_credits: str
    ended_at: datetime
