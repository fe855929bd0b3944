"""What accounts have set about their money, and what stands in its way."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.tables import AccountSettingsRow


async def find_settings(session: AsyncSession, account_id: UUID) -> AccountSettingsRow | None:
    """As it is now, whatever this session has read before."""
    row: AccountSettingsRow | None = await session.scalar(
        select(AccountSettingsRow)
        .where(AccountSettingsRow.account_id == account_id)
        .execution_options(populate_existing=True)
    )
    return row


async def save_settings(session: AsyncSession, account_id: UUID, **values: Any) -> None:
    """Change some of it; under the account's lock."""
    await session.execute(
        insert(AccountSettingsRow)
        .values(account_id=account_id, **values)
        .on_conflict_do_update(index_elements=["account_id"], set_=values)
    )


async def list_due(session: AsyncSession, now: datetime, *, limit: int) -> list[UUID]:
    """Accounts of which something may have to be told anew."""
    rows = await session.scalars(
        select(AccountSettingsRow.account_id)
        .where(AccountSettingsRow.due_at <= now)
        .order_by(AccountSettingsRow.due_at, AccountSettingsRow.account_id)
        .limit(limit)
    )
    return list(rows)


async def set_all_due(session: AsyncSession, now: datetime) -> None:
    await session.execute(update(AccountSettingsRow).values(due_at=now))


async def list_to_look_at(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[UUID]:
    """Accounts that top up by themselves and whose balance has not been looked at for a while."""
    rows = await session.scalars(
        select(AccountSettingsRow.account_id)
        .where(AccountSettingsRow.top_up_below_nano.is_not(None), AccountSettingsRow.top_up_look_at <= now)
        .order_by(AccountSettingsRow.top_up_look_at)
        .limit(limit)
    )
    return rows.all()


async def list_use_to_collect(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[UUID]:
    """Accounts of which it has to be decided whether their use is collected."""
    rows = await session.scalars(
        select(AccountSettingsRow.account_id)
        .where(AccountSettingsRow.use_look_at <= now)
        .order_by(AccountSettingsRow.use_look_at, AccountSettingsRow.account_id)
        .limit(limit)
    )
    return rows.all()


async def look_soon(session: AsyncSession, account_id: UUID, now: datetime) -> bool:
    """Whether the account tops up by itself, and so will be looked at."""
    found = await session.scalar(
        update(AccountSettingsRow)
        .where(AccountSettingsRow.account_id == account_id, AccountSettingsRow.top_up_below_nano.is_not(None))
        .values(top_up_look_at=now)
        .returning(AccountSettingsRow.account_id)
    )
    return found is not None


async def count_low_since(session: AsyncSession, before: datetime) -> int:
    """Accounts that should have topped up by then, and have not."""
    rows = await session.scalars(
        select(AccountSettingsRow.account_id).where(
            AccountSettingsRow.top_up_below_nano.is_not(None), AccountSettingsRow.top_up_low_since <= before
        )
    )
    return len(rows.all())
