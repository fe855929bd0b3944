"""Changes of address that wait for their confirmations."""

from dataclasses import asdict
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.people import EmailChange
from auth.repository.rows import columns, find
from auth.tables import EmailChangeRow


async def upsert_email_change(session: AsyncSession, change: EmailChange) -> None:
    """A later change takes the place of an earlier one of the same user."""
    values = asdict(change)
    statement = insert(EmailChangeRow).values(values)
    changed = {name: value for name, value in values.items() if name != "user_id"}
    await session.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=changed))


async def find_email_change(session: AsyncSession, change_id: UUID) -> EmailChange | None:
    statement = select(*columns(EmailChangeRow, EmailChange)).where(EmailChangeRow.id == change_id)
    return await find(session, statement, EmailChange)


async def update_confirmed(
    session: AsyncSession, change_id: UUID, *, side: Literal["old", "new"], now: datetime
) -> EmailChange | None:
    """The change with this side confirmed; None when it is over."""
    column = EmailChangeRow.old_confirmed_at if side == "old" else EmailChangeRow.new_confirmed_at
    statement = (
        update(EmailChangeRow)
        .where(EmailChangeRow.id == change_id, EmailChangeRow.expires_at > now)
        .values({column: func.coalesce(column, now)})
        .returning(*columns(EmailChangeRow, EmailChange))
    )
    return await find(session, statement, EmailChange)


async def delete_email_changes(session: AsyncSession, user_id: UUID) -> None:
    await session.execute(delete(EmailChangeRow).where(EmailChangeRow.user_id == user_id))


async def delete_expired_changes(session: AsyncSession, *, now: datetime) -> None:
    await session.execute(delete(EmailChangeRow).where(EmailChangeRow.expires_at < now))
