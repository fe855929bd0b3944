"""Subscriptions, payments, reversals, adjustments."""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.billing import PaymentSettled, SubscriptionChanged
from ledger import tables
from ledger.domain.reversals import Reversal

_ACTIVE = ("active", "trialing", "past_due")


async def upsert_subscription(session: AsyncSession, event: SubscriptionChanged) -> bool:
    """False when a newer version was applied before."""
    statement = insert(tables.subscription)
    values = {
        "account_id": event.account_id,
        "version": event.version,
        "plan_id": event.plan_id,
        "plan_version": event.plan_version,
        "status": event.status,
        "period_start": event.current_period_start,
        "period_end": event.current_period_end,
    }
    changed = await session.execute(
        statement.values(subscription_id=event.subscription_id, **values)
        .on_conflict_do_update(
            index_elements=["subscription_id"], set_=values, where=tables.subscription.c.version < event.version
        )
        .returning(tables.subscription.c.subscription_id)
    )
    return changed.first() is not None


async def find_active_subscription(session: AsyncSession, account_id: UUID) -> Any | None:
    """The subscription whose plan holds: of the active ones, that with the latest period."""
    columns = tables.subscription.c
    rows = await session.execute(
        select(tables.subscription)
        .where(columns.account_id == account_id, columns.status.in_(_ACTIVE))
        .order_by(columns.period_start.desc(), columns.subscription_id)
        .limit(1)
    )
    return rows.one_or_none()


async def insert_payment(
    session: AsyncSession, payment: PaymentSettled, *, grant_id: UUID | None, now: datetime
) -> None:
    await session.execute(
        insert(tables.payment).values(
            payment_id=payment.payment_id,
            account_id=payment.account_id,
            kind=payment.kind,
            offer_id=payment.offer_id,
            subscription_id=payment.subscription_id,
            grant_id=grant_id,
            unit=payment.grant_unit,
            grant_amount=payment.grant_amount,
            paid_minor=payment.paid_minor,
            fee_minor=payment.fee_minor,
            currency=payment.currency,
            settled_at=now,
        )
    )


async def find_payment(session: AsyncSession, payment_id: str) -> Any | None:
    rows = await session.execute(select(tables.payment).where(tables.payment.c.payment_id == payment_id))
    return rows.one_or_none()


async def list_reversals(session: AsyncSession, payment_id: str) -> list[Reversal]:
    """All reversals of a payment; ask under the account's lock."""
    columns = tables.reversal.c
    rows = await session.execute(
        select(
            columns.reversal_id,
            columns.payment_id,
            columns.state,
            columns.reversed_minor,
            columns.taken_amount,
            columns.taken_debt,
        ).where(columns.payment_id == payment_id)
    )
    return [Reversal(**row) for row in rows.mappings()]


async def upsert_reversal(session: AsyncSession, reversal: Reversal, *, account_id: UUID, now: datetime) -> None:
    await session.execute(
        insert(tables.reversal)
        .values(**asdict(reversal), account_id=account_id, booked_at=now)
        .on_conflict_do_update(index_elements=["reversal_id"], set_={"state": reversal.state})
    )


async def insert_adjustment(session: AsyncSession, **values: Any) -> None:
    """An operator's adjustment with actor and reason."""
    await session.execute(insert(tables.adjustment).values(**values))
