"""What operators open and close, each with a reason on record."""

from uuid import UUID

from fastapi import APIRouter, Request

from billing.domain.paths import Path as PaidPath
from billing.entrypoints.http.access import DatabaseDep
from billing.schemas.operator import ActView, PathRequest, PathsAnswer, PathView, TaxRequest, TaxView
from billing.service.paths import Change, Paths
from billing.service.taxes import Taxes
from kit.errors import InvalidError
from kit.identity import OperatorDep, SteppedUpOperatorDep
from kit.paging import Cursor, Limit, Page, decode_cursor, encode_cursor

router = APIRouter(prefix="/billing/operator", tags=["operator"])
MOST = 1_000


@router.get("/paths", summary="Which ways of paying are open")
async def list_paths(request: Request, _: OperatorDep, database: DatabaseDep) -> PathsAnswer:
    paths: Paths = request.app.state.paths
    async with database.reading() as session:
        found = await paths.shown(session, limit=MOST)
    return PathsAnswer(items=[PathView(path=one.path, scope=one.scope, state=one.state) for one in found])


@router.put("/paths/{path}", summary="Open or close a way of paying, for all accounts or for one")
async def put_path(
    request: Request, operator: SteppedUpOperatorDep, database: DatabaseDep, *, path: PaidPath, body: PathRequest
) -> PathsAnswer:
    paths: Paths = request.app.state.paths
    change = Change(path, body.state, body.account_id, actor=str(operator.user_id), reason=body.reason)
    async with database.transaction() as session:
        await paths.change(session, change)
        found = await paths.shown(session, limit=MOST)
    return PathsAnswer(items=[PathView(path=one.path, scope=one.scope, state=one.state) for one in found])


@router.get("/tax", summary="Whether taxes are computed, and what keeps Stripe from collecting them")
async def show_tax(request: Request, _: OperatorDep) -> TaxView:
    taxes: Taxes = request.app.state.taxes
    return TaxView.of(await taxes.show())


@router.put("/tax", summary="Switch automatic taxes on or off, for what begins from now on")
async def put_tax(request: Request, operator: SteppedUpOperatorDep, body: TaxRequest) -> TaxView:
    """Refused with `taxes_not_ready` where Stripe would collect nothing."""
    taxes: Taxes = request.app.state.taxes
    return TaxView.of(await taxes.turn(is_on=body.on, actor=str(operator.user_id), reason=body.reason))


@router.get("/audit", summary="What operators changed here, newest first")
async def list_acts(
    request: Request, _: OperatorDep, database: DatabaseDep, *, limit: Limit = 50, cursor: Cursor = None
) -> Page[ActView]:
    paths: Paths = request.app.state.paths
    async with database.reading() as session:
        found = await paths.acts(session, before=_position(cursor), limit=limit + 1)
    shown = [
        ActView.of(
            one.id,
            actor=one.actor,
            action=one.action,
            target=one.target,
            reason=one.reason,
            recorded_at=one.recorded_at,
        )
        for one in found[:limit]
    ]
    return Page(items=shown, next_cursor=encode_cursor(str(shown[-1].id)) if len(found) > limit else None)


def _position(cursor: str | None) -> UUID | None:
    if cursor is None:
        return None
    (act_id,) = decode_cursor(cursor, parts=1)
    try:
        return UUID(str(act_id))
    except ValueError:
        raise InvalidError("The cursor is not one of ours.", field="cursor") from None
