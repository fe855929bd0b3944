"""Payments, subscriptions and reversals."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.reversals import Reversal
from billing.tables import AccountRow, PaymentRow, ReversalRow, SubscriptionRow

_ENDED: Final = ("canceled", "incomplete_expired")


async def find_payment(session: AsyncSession, payment_id: str) -> PaymentRow | None:
    return await session.get(PaymentRow, payment_id)


async def has_settled(session: AsyncSession, subscription_id: str) -> bool:
    """Whether a period of the subscription, its trial included, is booked."""
    found = await session.scalar(
        select(PaymentRow.id)
        .where(PaymentRow.subscription_id == subscription_id, PaymentRow.status == "settled")
        .limit(1)
    )
    return found is not None


async def insert_payment(session: AsyncSession, **values: Any) -> None:
    await session.execute(insert(PaymentRow).values(**values))


async def update_payment(session: AsyncSession, payment_id: str, **values: Any) -> None:
    await session.execute(update(PaymentRow).where(PaymentRow.id == payment_id).values(**values))


async def list_payments(
    session: AsyncSession, account_id: UUID, *, before: tuple[datetime, str] | None, limit: int
) -> Sequence[PaymentRow]:
    """Newest first."""
    query = select(PaymentRow).where(PaymentRow.account_id == account_id)
    if before is not None:
        query = query.where(tuple_(PaymentRow.created_at, PaymentRow.id) < before)
    rows = await session.scalars(query.order_by(PaymentRow.created_at.desc(), PaymentRow.id.desc()).limit(limit))
    return rows.all()


async def insert_reversal(session: AsyncSession, reversal: Reversal, *, payment_id: str, now: datetime) -> bool:
    """False when this fact is known already."""
    inserted = await session.execute(
        insert(ReversalRow)
        .values(
            id=reversal.id,
            kind=reversal.kind,
            payment_id=payment_id,
            amount_minor=reversal.amount_minor,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(ReversalRow.id)
    )
    return inserted.first() is not None


async def find_newest_failed(session: AsyncSession, subscription_id: str) -> PaymentRow | None:
    """The newest payment of a subscription, if it has failed."""
    row: PaymentRow | None = await session.scalar(
        select(PaymentRow)
        .where(PaymentRow.subscription_id == subscription_id)
        .order_by(PaymentRow.created_at.desc(), PaymentRow.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return row if row is not None and row.status == "failed" else None


async def sum_reversed(session: AsyncSession, payment_ids: Sequence[str]) -> dict[str, int]:
    """What is gone of each payment: refunds and disputes, less the disputes that were won."""
    sums: dict[str, int] = dict.fromkeys(payment_ids, 0)
    rows = await session.execute(
        select(ReversalRow.payment_id, ReversalRow.kind, func.sum(ReversalRow.amount_minor))
        .where(ReversalRow.payment_id.in_(payment_ids), ReversalRow.kind != "dispute_lost")
        .group_by(ReversalRow.payment_id, ReversalRow.kind)
    )
    for payment_id, kind, amount_minor in rows:
        sums[payment_id] += -int(amount_minor) if kind == "dispute_won" else int(amount_minor)
    return sums


async def find_subscription(session: AsyncSession, subscription_id: str) -> SubscriptionRow | None:
    return await session.get(SubscriptionRow, subscription_id, populate_existing=True)


async def save_subscription(session: AsyncSession, **values: Any) -> None:
    await session.execute(
        insert(SubscriptionRow)
        .values(**values)
        .on_conflict_do_update(
            index_elements=["id"], set_={name: value for name, value in values.items() if name != "id"}
        )
    )


async def find_current_subscription(session: AsyncSession, account_id: UUID) -> SubscriptionRow | None:
    """The account's living subscription, else the one that ended last."""
    row: SubscriptionRow | None = await session.scalar(
        select(SubscriptionRow)
        .where(SubscriptionRow.account_id == account_id)
        .order_by(SubscriptionRow.status.in_(_ENDED), SubscriptionRow.current_period_end.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return row


async def list_grace_over(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[str]:
    """Those that are told as past due, and whose plan's patience is over."""
    rows = await session.scalars(
        select(SubscriptionRow.id)
        .where(SubscriptionRow.told_status == "past_due", SubscriptionRow.grace_until <= now)
        .order_by(SubscriptionRow.grace_until, SubscriptionRow.id)
        .limit(limit)
    )
    return rows.all()


async def list_local_over(session: AsyncSession, now: datetime, *, limit: int) -> list[tuple[str, UUID]]:
    """Living subscriptions of our own whose period is over, with their accounts."""
    rows = await session.execute(
        select(SubscriptionRow.id, SubscriptionRow.account_id)
        .where(
            SubscriptionRow.is_local,
            SubscriptionRow.status.not_in(_ENDED),
            SubscriptionRow.current_period_end <= now,
        )
        .order_by(SubscriptionRow.current_period_end, SubscriptionRow.id)
        .limit(limit)
    )
    return [(row.id, row.account_id) for row in rows]


async def list_living_of_plan(session: AsyncSession, plan_id: str | None) -> Sequence[SubscriptionRow]:
    """Stripe's living subscriptions of a plan, or of all."""
    query = select(SubscriptionRow).where(SubscriptionRow.status.not_in(_ENDED), SubscriptionRow.is_local.is_(False))
    if plan_id is not None:
        query = query.where(SubscriptionRow.plan_id == plan_id)
    rows = await session.scalars(query.order_by(SubscriptionRow.account_id, SubscriptionRow.id))
    return rows.all()


async def lock_subscription(session: AsyncSession, subscription_id: str) -> SubscriptionRow | None:
    """The row, while its account is locked."""
    row = await session.get(SubscriptionRow, subscription_id)
    if row is None:
        return None
    await session.scalar(select(AccountRow.id).where(AccountRow.id == row.account_id).with_for_update())
    await session.refresh(row)
    return row


async def has_subscribed(session: AsyncSession, account_id: UUID) -> bool:
    """Whether the account ever had a subscription in Stripe."""
    found = await session.scalar(
        select(SubscriptionRow.id)
        .where(SubscriptionRow.account_id == account_id, SubscriptionRow.is_local.is_(False))
        .limit(1)
    )
    return found is not None


def has_ended(subscription: SubscriptionRow) -> bool:
    return subscription.status in _ENDED
