"""What an account may see of its money with us."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.repository import payments


@dataclass(frozen=True, slots=True)
class PaymentLine:
    id: str
    kind: str
    status: str
    offer_id: str
    amount_minor: int
    reversed_minor: int
    currency: str
    grant_nano: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    id: str
    plan_id: str
    plan_version: int
    status: str
    current_period_start: datetime
    current_period_end: datetime
    cancel_at_period_end: bool


async def list_payments(
    session: AsyncSession, account_id: UUID, *, before: tuple[datetime, str] | None, limit: int
) -> list[PaymentLine]:
    """Newest first."""
    rows = await payments.list_payments(session, account_id, before=before, limit=limit)
    reversed_minor = await payments.sum_reversed(session, [row.id for row in rows])
    return [
        PaymentLine(
            id=row.id,
            kind=row.kind,
            status=row.status,
            offer_id=row.offer_id,
            amount_minor=row.amount_minor,
            reversed_minor=reversed_minor[row.id],
            currency=row.currency,
            grant_nano=row.grant_nano,
            created_at=row.created_at,
        )
        for row in rows
    ]


async def find_subscription(session: AsyncSession, account_id: UUID) -> SubscriptionState | None:
    row = await payments.find_current_subscription(session, account_id)
    if row is None:
        return None
    return SubscriptionState(
        id=row.id,
        plan_id=row.plan_id,
        plan_version=row.plan_version,
        status=row.status,
        current_period_start=row.current_period_start,
        current_period_end=row.current_period_end,
        cancel_at_period_end=row.cancel_at_period_end,
    )
