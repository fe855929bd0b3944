"""Statements of months: JSON, CSV, and a page to print."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from ledger.entrypoints.access import AccountDep, DatabaseDep, MoneyReader
from ledger.entrypoints.pages import statement_page
from ledger.entrypoints.report_views import statement_answer, statement_csv
from ledger.schemas.statements import StatementAnswer
from ledger.service.stating import Stating

Period = Annotated[str, Query(max_length=7, description="a UTC month, like 2026-11")]
Form = Annotated[Literal["json", "csv", "html"], Query(alias="format", description="html is a page to print")]
# The page has neither script nor anything from elsewhere.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def build_router(stating: Stating) -> APIRouter:
    router = APIRouter(tags=["me"])

    @router.get(
        "/ledger/statement",
        summary="A month: opening, movements, closing, per unit",
        response_model=StatementAnswer,
        responses={200: {"content": {"text/csv": {}, "text/html": {}}}},
    )
    async def statement(
        _: MoneyReader, account_id: AccountDep, database: DatabaseDep, *, period: Period, form: Form = "json"
    ) -> StatementAnswer | Response:
        async with database.reading() as session:
            answer = statement_answer(account_id, await stating.state_month(session, account_id, period))
        if form == "html":
            return HTMLResponse(statement_page(answer), headers={"content-security-policy": _POLICY})
        if form == "csv":
            name = f'attachment; filename="statement-{answer.period}.csv"'
            return Response(
                statement_csv(answer), media_type="text/csv; charset=utf-8", headers={"content-disposition": name}
            )
        return answer

    return router
