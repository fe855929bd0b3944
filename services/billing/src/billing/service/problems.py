"""Why nothing can be charged to an account at the moment: what its last payment on file came to, and which card."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.collecting import Purpose
from billing.repository import attempts, payments
from contracts.terms import PaymentProblem

_OWING: Final = frozenset({"incomplete", "past_due", "unpaid"})


async def find_problem(session: AsyncSession, account_id: UUID, row: Any) -> PaymentProblem | None:
    """Of the use that is paid afterwards, of top-ups by themselves, or of the subscription; `row` are its settings."""
    if row.use_blocked is not None:
        return await _of_attempts(session, account_id, "pay_per_use", reason=row.use_blocked)
    if row.top_up_paused is not None:
        return await _of_attempts(session, account_id, "auto_top_up", reason=row.top_up_paused)
    subscription = await payments.find_current_subscription(session, account_id)
    if subscription is None or subscription.status not in _OWING:
        return None
    failed = await payments.find_newest_failed(session, subscription.id)
    if failed is None or failed.failure is None:
        return None
    return PaymentProblem(reason=failed.failure, card_brand=failed.card_brand, card_last4=failed.card_last4)


async def _of_attempts(session: AsyncSession, account_id: UUID, purpose: Purpose, *, reason: str) -> PaymentProblem:
    latest = await attempts.list_latest(session, account_id, purpose, limit=1)
    brand, last4 = (latest[0].card_brand, latest[0].card_last4) if latest else (None, None)
    return PaymentProblem(reason=reason, card_brand=brand, card_last4=last4)
