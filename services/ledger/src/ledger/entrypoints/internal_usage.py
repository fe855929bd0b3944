"""What billing asks: how a model's tokens divide over the classes, to judge what a plan will cost."""

from typing import Final

from fastapi import APIRouter

from kit.identity import ServiceDep
from ledger.entrypoints.access import PROBLEMS, STRICT, DatabaseDep
from ledger.entrypoints.report_views import usage_mix
from ledger.schemas.usage import UsageMix
from ledger.service.reporting import Reporting

DAYS: Final = 30


def build_router(reporting: Reporting) -> APIRouter:
    router = APIRouter(prefix="/internal", tags=["internal"], responses=PROBLEMS, dependencies=[STRICT])

    @router.get("/usage-mix", summary="Shares of token classes per model over the last 30 whole days")
    async def mix(_: ServiceDep, database: DatabaseDep) -> UsageMix:
        async with database.reading() as session:
            return usage_mix(await reporting.mix(session, days=DAYS), days=DAYS)

    return router
