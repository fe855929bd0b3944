"""Who changed what: for operators, and for the account's own admins."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from kit.identity import OperatorDep
from kit.paging import Cursor, Limit, Page, encode_cursor
from ledger.entrypoints.access import PROBLEMS, STRICT, AccountDep, AdminReader, DatabaseDep, id_in
from ledger.entrypoints.report_views import audit_entry
from ledger.schemas.operator import AuditEntry
from ledger.service.auditing import Auditing


def build_router(auditing: Auditing) -> APIRouter:
    router = APIRouter(responses=PROBLEMS, dependencies=[STRICT])

    @router.get("/ledger/audit", summary="What people changed in the account's books, newest first", tags=["me"])
    async def own(
        *, _: AdminReader, account_id: AccountDep, database: DatabaseDep, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[AuditEntry]:
        async with database.reading() as session:
            rows = await auditing.acts(session, account_id=account_id, before=id_in(cursor), limit=limit + 1)
        more = encode_cursor(str(rows[limit - 1].id)) if len(rows) > limit else None
        return Page(items=[audit_entry(row) for row in rows[:limit]], next_cursor=more)

    @router.get("/ledger/operator/audit", summary="What people changed anywhere, newest first", tags=["operator"])
    async def every(
        *,
        _: OperatorDep,
        database: DatabaseDep,
        account_id: Annotated[UUID | None, Query(description="only this account's")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[AuditEntry]:
        async with database.reading() as session:
            rows = await auditing.acts(session, account_id=account_id, before=id_in(cursor), limit=limit + 1)
        more = encode_cursor(str(rows[limit - 1].id)) if len(rows) > limit else None
        return Page(items=[audit_entry(row) for row in rows[:limit]], next_cursor=more)

    return router
