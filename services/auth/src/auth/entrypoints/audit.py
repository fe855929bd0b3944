"""The audit log: an account's for its admins, everything for operators, and one's own."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from auth.domain.audit import AuditEntry, AuditFilter
from auth.entrypoints.parts import ActingDep, Parts, PartsDep, before_id, refusals
from auth.entrypoints.tables import table_row
from auth.schemas.audit import AuditAnswer
from auth.service import audit, permissions
from kit.identity import OperatorDep
from kit.paging import Cursor, Limit, Page, encode_cursor

router = APIRouter(prefix="/auth", tags=["audit"])

EXPORTED_AT_ONCE: Final = 500
ActionFilter = Annotated[str | None, Query(max_length=64, pattern=r"^[a-z_.]+$")]
WrittenAs = Annotated[
    Literal["ndjson", "csv"], Query(alias="format", description="one JSON object per line, or a table")
]
_EXPORT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/x-ndjson": {}, "text/csv": {}}, "description": "one entry per line"}
}
_MEDIA_TYPES: Final = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


@router.get("/audit", summary="What was done in the account, newest first", responses=refusals(401, 403))
async def list_audit(
    parts: PartsDep, acting: ActingDep, *, limit: Limit = 50, cursor: Cursor = None, action: ActionFilter = None
) -> Page[AuditAnswer]:
    async with parts.database.reading() as session:
        await permissions.require(session, acting, "view_audit")
    return await _page(parts, AuditFilter(account_id=acting.account_id, action=action), limit=limit, cursor=cursor)


@router.get(
    "/audit/export",
    summary="The account's whole log, one entry per line",
    response_class=StreamingResponse,
    responses={**refusals(401, 403), **_EXPORT},
)
async def export_audit(
    parts: PartsDep,
    acting: ActingDep,
    written: WrittenAs = "ndjson",
) -> StreamingResponse:
    async with parts.database.reading() as session:
        await permissions.require(session, acting, "view_audit")
    return _export(parts, AuditFilter(account_id=acting.account_id), written)


@router.get("/me/activity", summary="What was done by or to the caller", responses=refusals(401, 403))
async def list_activity(
    parts: PartsDep, acting: ActingDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[AuditAnswer]:
    """From where somebody else acted is not shown."""
    page = await _page(parts, AuditFilter(person_id=acting.user_id), limit=limit, cursor=cursor)
    items = [one if one.actor_id == acting.user_id else one.model_copy(update={"network": None}) for one in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get("/operator/audit", summary="What was done anywhere, for operators", responses=refusals(401, 403))
async def list_all(
    parts: PartsDep,
    _operator: OperatorDep,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    account_id: UUID | None = None,
    user_id: UUID | None = None,
    action: ActionFilter = None,
) -> Page[AuditAnswer]:
    wanted = AuditFilter(account_id=account_id, person_id=user_id, action=action)
    return await _page(parts, wanted, limit=limit, cursor=cursor)


@router.get(
    "/operator/audit/export",
    summary="The whole log, one entry per line, for operators",
    response_class=StreamingResponse,
    responses={**refusals(401, 403), **_EXPORT},
)
async def export_all(
    parts: PartsDep,
    _operator: OperatorDep,
    written: WrittenAs = "ndjson",
) -> StreamingResponse:
    return _export(parts, AuditFilter(), written)


async def _page(parts: Parts, wanted: AuditFilter, *, limit: int, cursor: str | None) -> Page[AuditAnswer]:
    async with parts.database.reading() as session:
        found = await audit.list_entries(session, wanted, before=before_id(cursor), limit=limit + 1)
    items = [_shown(entry) for entry in found[:limit]]
    return Page(items=items, next_cursor=encode_cursor(str(items[-1].id)) if len(found) > limit else None)


def _export(parts: Parts, wanted: AuditFilter, written: str) -> StreamingResponse:
    headers = {"content-disposition": f'attachment; filename="audit.{written}"'}
    line = _table_line if written == "csv" else _json_line
    begin = [table_row(AuditAnswer.model_fields)] if written == "csv" else []
    return StreamingResponse(
        _lines(parts, wanted, line, begin=begin), headers=headers, media_type=_MEDIA_TYPES[written]
    )


async def _lines(
    parts: Parts, wanted: AuditFilter, line: Callable[[AuditAnswer], str], *, begin: Sequence[str]
) -> AsyncIterator[str]:
    """A transaction for each part: a slow reader must not hold one open."""
    for one in begin:
        yield one
    before = None
    while True:
        async with parts.database.reading() as session:
            found = await audit.list_entries(session, wanted, before=before, limit=EXPORTED_AT_ONCE)
        for entry in found:
            yield line(_shown(entry))
        if len(found) < EXPORTED_AT_ONCE:
            return
        before = found[-1].id


def _json_line(entry: AuditAnswer) -> str:
    return entry.model_dump_json() + "\n"


def _table_line(entry: AuditAnswer) -> str:
    values = entry.model_dump(mode="json").values()
    return table_row(json.dumps(one) if isinstance(one, dict) else one for one in values)


def _shown(entry: AuditEntry) -> AuditAnswer:
    return AuditAnswer(**{name: getattr(entry, name) for name in AuditAnswer.model_fields})
