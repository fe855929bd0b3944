"""Statements."""

from datetime import datetime
from uuid import UUID

from kit.http import ResponseModel


class Movement(ResponseModel):
    """What one kind of movement did to the balance in the period."""

    type: str
    amount: str


class UnitMoved(ResponseModel):
    """One unit: `opening` and the movements add up to `closing`. Credits are decimals, less debt."""

    unit: str
    opening: str
    movements: list[Movement]
    closing: str


class StatementAnswer(ResponseModel):
    """A UTC month of an account; once `closed` it never changes, what comes late stands in the month it is booked."""

    account_id: UUID
    period: str
    starts_at: datetime
    ends_at: datetime
    closed: bool
    units: list[UnitMoved]
    debt_credits: str
    overage_credits: str
