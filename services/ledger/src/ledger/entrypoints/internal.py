"""What gateways ask: an account's admission state, once all of its usage is applied (money.md 29)."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter

from kit.http import Problem
from kit.identity import ServiceDep
from ledger.adapters.positions import UsagePositions
from ledger.entrypoints.access import PROBLEMS, DatabaseDep
from ledger.schemas.internal import SnapshotRequest
from ledger.service.reading import Reading


def build_router(reading: Reading, positions: UsagePositions) -> APIRouter:
    router = APIRouter(prefix="/internal", tags=["internal"], responses=PROBLEMS)

    @router.post(
        "/accounts/{account_id}/snapshot",
        summary="The data of `ledger.balance-changed.v1` now, naming those of the calls that are booked",
        responses={503: {"model": Problem, "description": "Not all that was used is applied yet"}},
    )
    async def snapshot(account_id: UUID, body: SnapshotRequest, _: ServiceDep, database: DatabaseDep) -> dict[str, Any]:
        await positions.wait_applied(account_id)
        async with database.reading() as session:
            return await reading.snapshot(session, account_id, calls=body.calls)

    return router
