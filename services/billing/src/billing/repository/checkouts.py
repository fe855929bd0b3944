"""Checkouts that accounts began."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.tables import CheckoutRow


async def insert_checkout(session: AsyncSession, **values: Any) -> CheckoutRow:
    """Begin a checkout; one that was begun with the same key is left as it is. The row that stands."""
    await session.execute(insert(CheckoutRow).values(status="opening", **values).on_conflict_do_nothing())
    row = await session.scalar(
        select(CheckoutRow).where(
            CheckoutRow.account_id == values["account_id"], CheckoutRow.idempotency_key == values["idempotency_key"]
        )
    )
    assert row is not None
    return row


async def find_begun(session: AsyncSession, account_id: UUID, idempotency_key: str) -> CheckoutRow | None:
    row: CheckoutRow | None = await session.scalar(
        select(CheckoutRow).where(CheckoutRow.account_id == account_id, CheckoutRow.idempotency_key == idempotency_key)
    )
    return row


async def open_checkout(session: AsyncSession, checkout_id: UUID, *, session_id: str, expires_at: datetime) -> None:
    """Stripe has answered; a webhook that was faster is not undone."""
    await session.execute(
        update(CheckoutRow)
        .where(CheckoutRow.id == checkout_id, CheckoutRow.status == "opening")
        .values(session_id=session_id, expires_at=expires_at, status="open")
    )


async def find_checkout(session: AsyncSession, session_id: str) -> CheckoutRow | None:
    row: CheckoutRow | None = await session.scalar(select(CheckoutRow).where(CheckoutRow.session_id == session_id))
    return row


async def close_checkout(
    session: AsyncSession, session_id: str, *, status: str, payment_id: str | None, subscription_id: str | None
) -> None:
    await session.execute(
        update(CheckoutRow)
        .where(CheckoutRow.session_id == session_id)
        .values(status=status, payment_id=payment_id, subscription_id=subscription_id)
    )
