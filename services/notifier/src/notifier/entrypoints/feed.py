"""The feed of the caller in their account: listed, counted, marked as read."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from kit.paging import Cursor, Limit, Page
from notifier.entrypoints.paging import next_cursor, position
from notifier.entrypoints.parts import LanguageDep, PartsDep, ReaderDep, refusals
from notifier.schemas.feed import Notification, UnreadAnswer
from notifier.service import feed

router = APIRouter(tags=["notifications"])


@router.get("/notifications", summary="The caller's feed, newest first", responses=refusals())
async def list_notifications(
    parts: PartsDep,
    reader: ReaderDep,
    language: LanguageDep,
    *,
    unread: Annotated[bool, Query(description="only what the caller has not read")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Notification]:
    """What the account was told, as far as the caller's role may see it, and what concerns the caller alone."""
    query = feed.FeedQuery(before=position(cursor), unread_only=unread, limit=limit + 1)
    async with parts.database.reading() as session:
        found = await feed.list_feed(session, reader, query)
    items = [parts.live.notification(one, language=language) for one in found[:limit]]
    return Page(items=items, next_cursor=next_cursor(found, limit))


@router.get("/notifications/unread", summary="How many are not read", responses=refusals())
async def count_unread(parts: PartsDep, reader: ReaderDep) -> UnreadAnswer:
    async with parts.database.reading() as session:
        return UnreadAnswer(unread=await feed.count_unread(session, reader))


@router.post("/notifications/read", summary="Mark all as read", responses=refusals())
async def mark_all(parts: PartsDep, reader: ReaderDep) -> UnreadAnswer:
    """What comes later is unread again."""
    async with parts.database.transaction() as session:
        await feed.mark_all(session, reader, now=parts.clock.now())
        return UnreadAnswer(unread=await feed.count_unread(session, reader))


@router.post("/notifications/{notice_id}/read", summary="Mark one as read", responses=refusals(404))
async def mark_one(notice_id: UUID, parts: PartsDep, reader: ReaderDep) -> UnreadAnswer:
    async with parts.database.transaction() as session:
        await feed.mark_one(session, reader, notice_id, now=parts.clock.now())
        return UnreadAnswer(unread=await feed.count_unread(session, reader))
