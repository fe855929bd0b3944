"""What customers ask: balance, transactions, calls."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from contracts.gateway import Outcome
from kit.database import Database
from kit.errors import InvalidError
from kit.http import Problem
from kit.identity import CallerDep
from kit.paging import Cursor, Limit, Moment, Page, decode_cursor, encode_cursor
from kit.tokens import Caller
from ledger.domain.requests import RequestFilter
from ledger.entrypoints import views
from ledger.errors import OtherAccountError, RoleError
from ledger.schemas import BalanceAnswer, RequestExplained, RequestSummary, Transaction
from ledger.service.reading import Reading

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in ((401, "Not signed in"), (403, "Not allowed"), (404, "Not found"), (422, "Invalid request"))
}

AccountParameter = Annotated[UUID | None, Query(description="another account; operators only")]


def account_of(caller: CallerDep, account_id: AccountParameter = None) -> UUID:
    """The account that a route speaks of."""
    if account_id is not None and account_id != caller.account_id and not caller.operator:
        raise OtherAccountError("Only operators may look at other accounts.", field="account_id")
    return account_id or caller.account_id


AccountDep = Annotated[UUID, Depends(account_of)]


def database_of(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


DatabaseDep = Annotated[Database, Depends(database_of)]


def build_router(reading: Reading) -> APIRouter:
    router = APIRouter(responses=PROBLEMS)

    @router.get("/ledger/balance", summary="What the account may use now", tags=["me"])
    async def balance(caller: CallerDep, account_id: AccountDep, database: DatabaseDep) -> BalanceAnswer:
        _refuse_plain_users(caller)
        async with database.reading() as session:
            return views.balance_answer(await reading.balance(session, account_id))

    @router.get("/ledger/transactions", summary="What moved, newest first", tags=["me"])
    async def transactions(
        *, caller: CallerDep, account_id: AccountDep, database: DatabaseDep, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[Transaction]:
        _refuse_plain_users(caller)
        before = _sequence(cursor)
        async with database.reading() as session:
            rows = await reading.transactions(session, account_id, before=before, limit=limit + 1)
        more = encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None
        return Page(items=[views.transaction(row) for row in rows[:limit]], next_cursor=more)

    @router.get("/v1/requests", summary="The account's calls, failed and free ones too", tags=["models"])
    async def requests(
        wanted: Annotated[RequestFilter, Depends(_filter)],
        database: DatabaseDep,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[RequestSummary]:
        before = _call_id(cursor)
        async with database.reading() as session:
            rows = await reading.requests(session, wanted, before=before, limit=limit + 1)
        more = encode_cursor(str(rows[limit - 1].id)) if len(rows) > limit else None
        return Page(items=[views.summary(row) for row in rows[:limit]], next_cursor=more)

    @router.get("/v1/requests/{request_id}", summary="Why a call cost what it cost", tags=["models"])
    async def request_explained(
        request_id: UUID, caller: CallerDep, account_id: AccountDep, database: DatabaseDep
    ) -> RequestExplained:
        user_id = _only_user(caller)
        async with database.reading() as session:
            found = await reading.explain(session, account_id, request_id, user_id=user_id)
        return views.explained(found, for_operator=caller.operator)

    return router


def _filter(
    *,
    caller: CallerDep,
    account_id: AccountDep,
    admitted_from: Annotated[Moment | None, Query(alias="from", description="admitted at or after")] = None,
    admitted_to: Annotated[Moment | None, Query(alias="to", description="admitted before")] = None,
    model: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
    outcome: Annotated[Outcome | None, Query()] = None,
    api_key_id: Annotated[UUID | None, Query()] = None,
) -> RequestFilter:
    return RequestFilter(
        account_id=account_id,
        user_id=_only_user(caller),
        admitted_from=admitted_from,
        admitted_to=admitted_to,
        model=model,
        outcome=outcome,
        api_key_id=api_key_id,
    )


def _only_user(caller: Caller) -> UUID | None:
    """Role `user` sees own usage only."""
    return caller.user_id if caller.role == "user" and not caller.operator else None


def _refuse_plain_users(caller: Caller) -> None:
    if _only_user(caller) is not None:
        raise RoleError("Owners, admins and developers see the account's money; you see your own calls.")


def _sequence(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    (sequence,) = decode_cursor(cursor, parts=1)
    if type(sequence) is not int or not 0 <= sequence < 1 << 63:
        raise InvalidError("The cursor is not one of ours.", field="cursor")
    return sequence


def _call_id(cursor: str | None) -> UUID | None:
    if cursor is None:
        return None
    (call_id,) = decode_cursor(cursor, parts=1)
    try:
        return UUID(str(call_id))
    except ValueError:
        raise InvalidError("The cursor is not one of ours.", field="cursor") from None
