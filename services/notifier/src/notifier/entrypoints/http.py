"""The feed of an account, and the operators' view of all deliveries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from kit.database import Database
from kit.errors import InvalidError
from kit.identity import CallerDep, OperatorDep
from kit.paging import Cursor, Limit, Page, decode_cursor, decode_instant, encode_cursor
from notifier.domain import Delivery, State
from notifier.schemas import DeliveryReport, Notification
from notifier.service import deliveries

router = APIRouter(tags=["notifications"])


@router.get("/notifications", summary="The account's notices, newest first")
async def list_notifications(
    request: Request, caller: CallerDep, *, limit: Limit = 50, cursor: Cursor = None
) -> Page[Notification]:
    """What the caller's account was told, and whether the mail went out."""
    database: Database = request.app.state.database
    async with database.reading() as session:
        found = await deliveries.list_account_deliveries(
            session, caller.account_id, after=_position(cursor), limit=limit + 1
        )
    return Page(items=[Notification.of(one) for one in found[:limit]], next_cursor=_next(found, limit))


@router.get("/notifications/deliveries", summary="All deliveries with the reasons of failures, for operators")
async def list_deliveries(
    request: Request,
    operator: OperatorDep,
    *,
    state: Annotated[State | None, Query(description="only deliveries in this state")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DeliveryReport]:
    """Operator alerts are among them, with `audience` operators."""
    database: Database = request.app.state.database
    async with database.reading() as session:
        found = await deliveries.list_deliveries(session, state=state, after=_position(cursor), limit=limit + 1)
    return Page(items=[DeliveryReport.of(one) for one in found[:limit]], next_cursor=_next(found, limit))


def _position(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    created_at, delivery_id = decode_cursor(cursor, parts=2)
    try:
        return decode_instant(created_at), UUID(str(delivery_id))
    except ValueError:
        raise InvalidError("The cursor is not one of ours.", field="cursor") from None


def _next(found: Sequence[Delivery], limit: int) -> str | None:
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return encode_cursor(last.created_at.isoformat(), str(last.id))
