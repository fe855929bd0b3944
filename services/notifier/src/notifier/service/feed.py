"""The feed of a person in an account: listed, counted, marked as read."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from notifier.domain.feeding import Reader, Told
from notifier.domain.kinds import CHOOSABLE, personal_kinds
from notifier.errors import UnknownNoticeError
from notifier.repository import feed
from notifier.repository.feed import FeedQuery, Position

OVERLAP: Final = timedelta(seconds=15)
"""Rows are made before they are committed: what becomes visible late is still found."""
_PAGE: Final = 200

__all__ = [
    "OVERLAP",
    "FeedQuery",
    "Position",
    "count_unread",
    "list_feed",
    "list_new",
    "list_since",
    "mark_all",
    "mark_one",
]


async def list_feed(session: AsyncSession, reader: Reader, query: FeedQuery) -> Sequence[Told]:
    return await feed.list_feed(session, reader, query)


async def list_since(session: AsyncSession, reader: Reader, notice_id: UUID) -> list[Told]:
    """What came after a notice that the reader has, oldest first; nothing when they never had it."""
    place = await feed.find_position(session, reader, notice_id)
    if place is None:
        return []
    after: Position = (place[0] - OVERLAP, UUID(int=0))
    found: list[Told] = []
    while True:
        page = await feed.list_feed(session, reader, FeedQuery(after=after, limit=_PAGE))
        found += [one for one in page if one.id != notice_id]
        if len(page) < _PAGE:
            return found
        after = (page[-1].created_at, page[-1].id)


async def list_new(session: AsyncSession, since: datetime) -> Sequence[tuple[Told, UUID | None, UUID | None]]:
    """What came into anybody's feed since an instant, with its account and its user."""
    kinds = [*(kind.name for kind in CHOOSABLE), *personal_kinds()]
    return await feed.list_new(session, since, kinds=kinds)


async def count_unread(session: AsyncSession, reader: Reader) -> int:
    return await feed.count_unread(session, reader)


async def mark_one(session: AsyncSession, reader: Reader, notice_id: UUID, *, now: datetime) -> None:
    """Read for this reader; a notice of others is not there."""
    if await feed.find_position(session, reader, notice_id) is None:
        raise UnknownNoticeError("There is no such notice in your feed.")
    await feed.insert_read(session, reader, notice_id, now=now)


async def mark_all(session: AsyncSession, reader: Reader, *, now: datetime) -> None:
    await feed.upsert_read_all(session, reader, now=now)
