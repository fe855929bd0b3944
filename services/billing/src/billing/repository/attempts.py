"""Payments that we ask for while nobody is there."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from billing.tables import AccountSettingsRow, ChargeAttemptRow


async def insert_attempt(session: AsyncSession, **values: Any) -> bool:
    """False while another attempt of this account and purpose is open."""
    made = await session.execute(
        insert(ChargeAttemptRow).values(state="open", **values).on_conflict_do_nothing().returning(ChargeAttemptRow.id)
    )
    return made.first() is not None


async def find_attempt(session: AsyncSession, attempt_id: UUID) -> ChargeAttemptRow | None:
    row: ChargeAttemptRow | None = await session.scalar(
        select(ChargeAttemptRow).where(ChargeAttemptRow.id == attempt_id).execution_options(populate_existing=True)
    )
    return row


async def find_of_payment(session: AsyncSession, payment_id: str) -> ChargeAttemptRow | None:
    row: ChargeAttemptRow | None = await session.scalar(
        select(ChargeAttemptRow).where(ChargeAttemptRow.payment_id == payment_id)
    )
    return row


async def find_open_attempt(session: AsyncSession, account_id: UUID, purpose: str) -> ChargeAttemptRow | None:
    row: ChargeAttemptRow | None = await session.scalar(
        select(ChargeAttemptRow).where(
            ChargeAttemptRow.account_id == account_id,
            ChargeAttemptRow.purpose == purpose,
            ChargeAttemptRow.state == "open",
        )
    )
    return row


async def list_due(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[ChargeAttemptRow]:
    rows = await session.scalars(
        select(ChargeAttemptRow)
        .where(ChargeAttemptRow.state == "open", ChargeAttemptRow.next_try_at <= now)
        .order_by(ChargeAttemptRow.next_try_at, ChargeAttemptRow.id)
        .limit(limit)
    )
    return rows.all()


async def count_try(session: AsyncSession, attempt_id: UUID, *, now: datetime, next_try_at: datetime) -> bool:
    """Count one more try before it is made; False when the attempt has ended, or another process has just begun one."""
    found = await session.scalar(
        update(ChargeAttemptRow)
        .where(
            ChargeAttemptRow.id == attempt_id,
            ChargeAttemptRow.state == "open",
            ChargeAttemptRow.next_try_at <= now,
        )
        .values(tries=ChargeAttemptRow.tries + 1, next_try_at=next_try_at)
        .returning(ChargeAttemptRow.id)
    )
    return found is not None


async def find_under_way(session: AsyncSession, account_id: UUID, purpose: str) -> ChargeAttemptRow | None:
    """An attempt that may still be paid: open, or waiting for its customer."""
    row: ChargeAttemptRow | None = await session.scalar(
        select(ChargeAttemptRow)
        .where(
            ChargeAttemptRow.account_id == account_id,
            ChargeAttemptRow.purpose == purpose,
            ChargeAttemptRow.state.in_(("open", "needs_action")),
        )
        .order_by(ChargeAttemptRow.state.desc())
        .limit(1)
    )
    return row


async def list_overtaken(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[ChargeAttemptRow]:
    """Attempts that wait for their customer, though another card is on file by now or another attempt was begun."""
    later = aliased(ChargeAttemptRow)
    is_followed = exists().where(
        later.account_id == ChargeAttemptRow.account_id,
        later.purpose == ChargeAttemptRow.purpose,
        later.created_at > ChargeAttemptRow.created_at,
    )
    rows = await session.scalars(
        select(ChargeAttemptRow)
        .join(AccountSettingsRow, AccountSettingsRow.account_id == ChargeAttemptRow.account_id)
        .where(
            ChargeAttemptRow.state == "needs_action",
            ChargeAttemptRow.next_try_at <= now,
            or_(AccountSettingsRow.payment_method_id != ChargeAttemptRow.payment_method_id, is_followed),
        )
        .order_by(ChargeAttemptRow.created_at)
        .limit(limit)
    )
    return rows.all()


async def count_withdrawal(session: AsyncSession, attempt_id: UUID, *, now: datetime, next_try_at: datetime) -> bool:
    """Claim the next try to take an attempt back that waits for its customer."""
    found = await session.scalar(
        update(ChargeAttemptRow)
        .where(
            ChargeAttemptRow.id == attempt_id,
            ChargeAttemptRow.state == "needs_action",
            ChargeAttemptRow.next_try_at <= now,
        )
        .values(tries=ChargeAttemptRow.tries + 1, next_try_at=next_try_at)
        .returning(ChargeAttemptRow.id)
    )
    return found is not None


async def keep_taxes(session: AsyncSession, attempt_id: UUID, **values: Any) -> ChargeAttemptRow:
    """The attempt with its taxes: whoever is first decides them, everybody asks for those."""
    await session.execute(
        update(ChargeAttemptRow)
        .where(
            ChargeAttemptRow.id == attempt_id,
            ChargeAttemptRow.is_taxed,
            ChargeAttemptRow.tax_calculation.is_(None),
        )
        .values(**values)
    )
    row: ChargeAttemptRow | None = await session.scalar(
        select(ChargeAttemptRow).where(ChargeAttemptRow.id == attempt_id).execution_options(populate_existing=True)
    )
    assert row is not None
    return row


async def update_attempt(session: AsyncSession, attempt_id: UUID, **values: Any) -> None:
    await session.execute(update(ChargeAttemptRow).where(ChargeAttemptRow.id == attempt_id).values(**values))


async def list_latest(
    session: AsyncSession, account_id: UUID, purpose: str, *, limit: int
) -> Sequence[ChargeAttemptRow]:
    """Newest first."""
    rows = await session.scalars(
        select(ChargeAttemptRow)
        .where(ChargeAttemptRow.account_id == account_id, ChargeAttemptRow.purpose == purpose)
        .order_by(ChargeAttemptRow.created_at.desc(), ChargeAttemptRow.id.desc())
        .limit(limit)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def sum_since(session: AsyncSession, account_id: UUID, purpose: str, *, since: datetime) -> int:
    """What was, or may still be, taken for a purpose since then."""
    total = await session.scalar(
        select(func.coalesce(func.sum(ChargeAttemptRow.amount_minor), 0)).where(
            ChargeAttemptRow.account_id == account_id,
            ChargeAttemptRow.purpose == purpose,
            ChargeAttemptRow.state.in_(("open", "succeeded")),
            ChargeAttemptRow.created_at >= since,
        )
    )
    return int(total or 0)


async def count_often(session: AsyncSession, purpose: str, *, since: datetime, more_than: int) -> int:
    """How many accounts had more attempts than that since then."""
    often = (
        select(ChargeAttemptRow.account_id)
        .where(ChargeAttemptRow.purpose == purpose, ChargeAttemptRow.created_at >= since)
        .group_by(ChargeAttemptRow.account_id)
        .having(func.count() > more_than)
        .subquery()
    )
    return int(await session.scalar(select(func.count()).select_from(often)) or 0)
