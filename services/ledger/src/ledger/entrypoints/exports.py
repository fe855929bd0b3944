"""Files of transactions or calls, streamed."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from kit.identity import CallerDep
from ledger.domain.requests import RequestFilter, TransferFilter
from ledger.entrypoints.access import AccountDep, From, NowDep, To, may_see_money, only_user, window
from ledger.entrypoints.views import request_row, transaction_row
from ledger.service.exporting import Exporting

MOST: Final = timedelta(days=400)
_TYPES: Final = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}

What = Annotated[Literal["transactions", "requests"], Query()]
Form = Annotated[Literal["csv", "parquet"], Query(alias="format")]


def build_router(exporting: Exporting) -> APIRouter:
    router = APIRouter(tags=["me"])

    @router.get(
        "/ledger/export",
        summary="Transactions or calls of a window as a file, newest first",
        response_class=StreamingResponse,
        responses={200: {"content": {one: {} for one in _TYPES.values()}, "description": "The file"}},
    )
    async def export(
        *,
        caller: CallerDep,
        account_id: AccountDep,
        now: NowDep,
        what: What,
        form: Form = "csv",
        starts_at: From = None,
        ends_at: To = None,
    ) -> StreamingResponse:
        first, last = window(starts_at, ends_at, now=now, default=timedelta(days=30), most=MOST)
        if what == "transactions":
            await may_see_money(caller)
            movements = TransferFilter(account_id=account_id, booked_from=first, booked_to=last)
            parts = exporting.transactions(movements, file_format=form, shape=transaction_row)
        else:
            calls = RequestFilter(
                account_id=account_id, user_id=only_user(caller), admitted_from=first, admitted_to=last
            )
            parts = exporting.requests(calls, file_format=form, shape=request_row)
        name = f'attachment; filename="{what}-{first:%Y%m%d}-{last:%Y%m%d}.{form}"'
        return StreamingResponse(parts, media_type=_TYPES[form], headers={"content-disposition": name})

    return router
