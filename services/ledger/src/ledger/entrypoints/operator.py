"""What operators do: adjust credits, check the books."""

from typing import Any, Final

from fastapi import APIRouter

from kit import idempotency
from kit.idempotency import IdempotencyKey
from kit.identity import OperatorDep
from ledger.entrypoints.http import PROBLEMS, DatabaseDep
from ledger.schemas import AdjustmentAnswer, AdjustmentRequest, BooksAnswer, credits_of, nano_of
from ledger.service.adjusting import Adjusted, Adjusting, Adjustment
from ledger.service.checking import check_books

ROUTE: Final = "POST /ledger/operator/adjustments"
CONFLICT: Final[dict[int | str, dict[str, Any]]] = {
    409: {"description": "The key was used with another body, or the account has less"}
}


def build_router(adjusting: Adjusting) -> APIRouter:
    router = APIRouter(prefix="/ledger/operator", tags=["operator"], responses=PROBLEMS)

    @router.post("/adjustments", status_code=201, summary="Give or take credits, with a reason", responses={**CONFLICT})
    async def adjust(
        body: AdjustmentRequest, caller: OperatorDep, key: IdempotencyKey, database: DatabaseDep
    ) -> AdjustmentAnswer:
        async with database.transaction() as session:
            attempt = await idempotency.begin(
                session, scope=str(caller.user_id), route=ROUTE, key=key, body=body.model_dump(mode="json")
            )
            if attempt.answer is not None:
                return AdjustmentAnswer.model_validate(attempt.answer)
            wanted = Adjustment(
                account_id=body.account_id,
                amount_nano=nano_of(body.amount_credits),
                reason=body.reason,
                actor_user_id=caller.user_id,
                expires_in_days=body.expires_in_days,
                allow_debt=body.allow_debt,
            )
            answer = _answer(body, await adjusting.adjust_credits(session, wanted))
            await idempotency.finish(session, attempt, status=201, answer=answer.model_dump(mode="json"))
            return answer

    @router.get("/books", summary="Check that the books agree with themselves")
    async def books(_: OperatorDep, database: DatabaseDep) -> BooksAnswer:
        async with database.reading() as session:
            found = await check_books(session)
        return BooksAnswer(
            units={unit: str(total) for unit, total in found.sums.items()},
            balanced=found.balanced,
            accounts_checked=found.accounts,
            differences=found.differences,
        )

    return router


def _answer(body: AdjustmentRequest, adjusted: Adjusted) -> AdjustmentAnswer:
    return AdjustmentAnswer(
        adjustment_id=adjusted.adjustment_id,
        account_id=body.account_id,
        amount_credits=credits_of(nano_of(body.amount_credits)),
        grant_id=adjusted.grant_id,
        available_credits=credits_of(adjusted.available_nano),
        debt_credits=credits_of(adjusted.debt_nano),
        version=adjusted.version,
        created_at=adjusted.created_at,
    )
