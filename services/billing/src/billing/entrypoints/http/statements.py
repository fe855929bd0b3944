"""The account's own subscription and payments."""

from datetime import datetime

from fastapi import APIRouter, Request

from billing.errors import RoleMayNotBuyError
from billing.schemas import Payment, Subscription, SubscriptionAnswer
from billing.service import statements
from kit.database import Database
from kit.identity import CallerDep
from kit.paging import Cursor, Limit, Page, decode_cursor, decode_instant, encode_cursor

READERS = ("owner", "admin")

router = APIRouter(prefix="/billing", tags=["statements"])


@router.get("/subscription", summary="The account's subscription, as Stripe last had it")
async def show_subscription(request: Request, caller: CallerDep) -> SubscriptionAnswer:
    database: Database = request.app.state.database
    async with database.reading() as session:
        found = await statements.find_subscription(session, caller.account_id)
    return SubscriptionAnswer(subscription=Subscription.of(found) if found else None)


@router.get("/payments", summary="The account's payments, newest first")
async def list_payments(request: Request, caller: CallerDep, limit: Limit = 50, cursor: Cursor = None) -> Page[Payment]:
    if caller.role not in READERS:
        raise RoleMayNotBuyError("Only an owner or admin of the account may see its payments.")
    database: Database = request.app.state.database
    async with database.reading() as session:
        lines = await statements.list_payments(
            session, caller.account_id, before=_position(cursor) if cursor else None, limit=limit + 1
        )
    shown = lines[:limit]
    more = len(lines) > limit
    return Page(
        items=[Payment.of(line) for line in shown],
        next_cursor=encode_cursor(shown[-1].created_at.isoformat(), shown[-1].id) if more else None,
    )


def _position(cursor: str) -> tuple[datetime, str]:
    created_at, payment_id = decode_cursor(cursor, parts=2)
    return decode_instant(created_at), str(payment_id)
