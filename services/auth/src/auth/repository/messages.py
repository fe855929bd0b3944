"""Mails that auth wants sent, and the links in them."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.tables import MessageLinkRow, MessageRow


async def insert_message(session: AsyncSession, message_id: UUID, *, kind: str, user_id: UUID, now: datetime) -> None:
    await session.execute(insert(MessageRow).values(id=message_id, kind=kind, user_id=user_id, created_at=now))


async def find_message(session: AsyncSession, message_id: UUID) -> tuple[str, UUID] | None:
    """Kind and user of a message."""
    row = (
        await session.execute(select(MessageRow.kind, MessageRow.user_id).where(MessageRow.id == message_id))
    ).one_or_none()
    return None if row is None else (row.kind, row.user_id)


async def insert_link(session: AsyncSession, token_hash: bytes, *, message_id: UUID, expires_at: datetime) -> None:
    await session.execute(
        insert(MessageLinkRow).values(token_hash=token_hash, message_id=message_id, expires_at=expires_at)
    )


async def use_link(session: AsyncSession, token_hash: bytes, *, kind: str, now: datetime) -> UUID | None:
    """Use a link up, atomically; returns whose it is, None when it is unknown, used or expired."""
    found: UUID | None = await session.scalar(
        update(MessageLinkRow)
        .where(
            MessageLinkRow.token_hash == token_hash,
            MessageLinkRow.used_at.is_(None),
            MessageLinkRow.expires_at > now,
            MessageRow.id == MessageLinkRow.message_id,
            MessageRow.kind == kind,
        )
        .values(used_at=now)
        .returning(MessageRow.user_id)
    )
    return found


async def delete_old_links(session: AsyncSession, *, now: datetime, keep: timedelta) -> None:
    await session.execute(delete(MessageLinkRow).where(MessageLinkRow.expires_at < now - keep))
