"""The operators' view of all deliveries."""

from typing import Annotated

from fastapi import APIRouter, Query

from kit.identity import OperatorDep
from kit.paging import Cursor, Limit, Page
from notifier.domain.delivering import State
from notifier.entrypoints.paging import next_cursor, position
from notifier.entrypoints.parts import PartsDep, refusals
from notifier.schemas.deliveries import DeliveryReport
from notifier.service import deliveries

router = APIRouter(tags=["operators"])


@router.get(
    "/notifications/deliveries",
    summary="All deliveries with the reasons of failures, for operators",
    responses=refusals(403),
)
async def list_deliveries(
    parts: PartsDep,
    operator: OperatorDep,
    *,
    state: Annotated[State | None, Query(description="only deliveries in this state")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DeliveryReport]:
    """Operator alerts are among them, with `audience` operators."""
    async with parts.database.reading() as session:
        found = await deliveries.list_deliveries(session, state=state, after=position(cursor), limit=limit + 1)
    return Page(items=[DeliveryReport.of(one) for one in found[:limit]], next_cursor=next_cursor(found, limit))
