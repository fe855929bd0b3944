"""Mails that auth wants sent, and the links in them."""

from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.mails import Message
from auth.repository.rows import columns, find
from auth.tables import MessageLinkRow, MessageRow


async def insert_message(session: AsyncSession, message: Message, *, now: datetime) -> None:
    await session.execute(insert(MessageRow).values({**asdict(message), "created_at": now}))


async def find_message(session: AsyncSession, message_id: UUID) -> Message | None:
    statement = select(*columns(MessageRow, Message)).where(MessageRow.id == message_id)
    return await find(session, statement, Message)


async def insert_link(session: AsyncSession, token_hash: bytes, *, message_id: UUID, expires_at: datetime) -> None:
    await session.execute(
        insert(MessageLinkRow).values(token_hash=token_hash, message_id=message_id, expires_at=expires_at)
    )


async def find_link(session: AsyncSession, token_hash: bytes, *, kind: str, now: datetime) -> Message | None:
    """The message of a link that would work now; it is not used up."""
    statement = (
        select(*columns(MessageRow, Message))
        .join(MessageLinkRow, MessageLinkRow.message_id == MessageRow.id)
        .where(
            MessageLinkRow.token_hash == token_hash,
            MessageLinkRow.used_at.is_(None),
            MessageLinkRow.expires_at > now,
            MessageRow.kind == kind,
        )
    )
    return await find(session, statement, Message)


async def use_link(
    session: AsyncSession, token_hash: bytes, *, kinds: tuple[str, ...], now: datetime
) -> Message | None:
    """Use a link up, atomically; returns its message, None when the link is unknown, used or expired."""
    statement = (
        update(MessageLinkRow)
        .where(
            MessageLinkRow.token_hash == token_hash,
            MessageLinkRow.used_at.is_(None),
            MessageLinkRow.expires_at > now,
            MessageRow.id == MessageLinkRow.message_id,
            MessageRow.kind.in_(kinds),
        )
        .values(used_at=now)
        .returning(*columns(MessageRow, Message))
    )
    return await find(session, statement, Message)


async def use_up_links(session: AsyncSession, user_id: UUID, *, kind: str, now: datetime) -> None:
    """Every open link of this kind that the user has stops working."""
    theirs = select(MessageRow.id).where(MessageRow.user_id == user_id, MessageRow.kind == kind)
    await session.execute(
        update(MessageLinkRow)
        .where(MessageLinkRow.message_id.in_(theirs), MessageLinkRow.used_at.is_(None))
        .values(used_at=now)
    )


async def delete_old_links(session: AsyncSession, *, now: datetime, keep: timedelta) -> None:
    await session.execute(delete(MessageLinkRow).where(MessageLinkRow.expires_at < now - keep))


async def delete_messages(session: AsyncSession, user_id: UUID) -> None:
    theirs = select(MessageRow.id).where(MessageRow.user_id == user_id)
    await session.execute(delete(MessageLinkRow).where(MessageLinkRow.message_id.in_(theirs)))
    await session.execute(delete(MessageRow).where(MessageRow.user_id == user_id))
