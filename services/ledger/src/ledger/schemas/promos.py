"""Promo codes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from contracts.money import Unit
from kit.http import RequestModel, ResponseModel
from ledger.schemas.amounts import Amount, Reason

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{5,39}$")]


class PromoRequest(RequestModel):
    """A code to give away: how much of which unit, for how many days, to how many accounts, until when."""

    code: Code
    unit: Unit
    amount: Amount
    valid_days: int | None = Field(None, strict=True, ge=1, le=3650)
    most: int | None = Field(None, strict=True, ge=1, le=10_000_000)
    expires_at: AwareDatetime | None = None
    reason: Reason


class PromoAnswer(ResponseModel):
    """A code, and how many accounts redeemed it."""

    promo_id: UUID
    code: str
    unit: str
    amount: str
    valid_days: int | None
    most: int | None
    redeemed: int
    expires_at: datetime | None
    reason: str
    created_by: UUID
    created_at: datetime


class RedeemRequest(RequestModel):
    """The code as the customer typed it; case does not matter."""

    code: Code


class RedeemAnswer(ResponseModel):
    """The grant that the code gave."""

    grant_id: UUID
    unit: str
    amount: str
    expires_at: datetime | None
