"""Customers redeem promo codes."""

from typing import Final

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from kit.idempotency import IdempotencyKey
from ledger.entrypoints.access import CONFLICT, DatabaseDep, MoneyWriter
from ledger.entrypoints.writes import write_once
from ledger.schemas.amounts import amount_of
from ledger.schemas.promos import RedeemAnswer, RedeemRequest
from ledger.service.promoting import Promoting

ROUTE: Final = "POST /ledger/promos/redeem"


def build_router(promoting: Promoting) -> APIRouter:
    router = APIRouter(tags=["me"])

    @router.post("/ledger/promos/redeem", status_code=201, summary="Redeem a promo code", responses={**CONFLICT})
    async def redeem(
        body: RedeemRequest, caller: MoneyWriter, key: IdempotencyKey, database: DatabaseDep
    ) -> RedeemAnswer:
        async def work(session: AsyncSession) -> RedeemAnswer:
            grant = await promoting.redeem(session, caller.account_id, code=body.code, user_id=caller.user_id)
            amount = amount_of(grant.amount, grant.unit)
            return RedeemAnswer(grant_id=grant.id, unit=grant.unit, amount=amount, expires_at=grant.expires_at)

        return await write_once(
            database, work, answer=RedeemAnswer, scope=caller.account_id, route=ROUTE, key=key, body=body
        )

    return router
