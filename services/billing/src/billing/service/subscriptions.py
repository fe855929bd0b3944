"""Subscriptions: our row follows Stripe's, and each change is told as a new version."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.dunning import grace_until, told_status
from billing.domain.states import Subscription
from billing.errors import PaymentRefusedError
from billing.repository import catalogue, payments
from billing.repository import settings as account_settings
from billing.service.owners import get_purchase, lock_owner
from contracts.billing import SubscriptionChanged
from kit import outbox
from kit.ids import fact_id

BATCH = 100


async def apply_subscription(session: AsyncSession, found: Subscription, *, now: datetime) -> None:
    """The subscription's row follows Stripe; a change is a new version, the same state is nothing."""
    account_id = await lock_owner(session, found.customer, claims=(found.metadata.get("account_id"),))
    known = await payments.find_subscription(session, found.id)
    if known is not None and known.account_id != account_id:
        raise PaymentRefusedError("The subscription belongs to another account.")
    past_due_since = (known.past_due_since if known else None) or now
    state = {
        "account_id": account_id,
        **await _plan_state(session, found),
        "status": found.status,
        "current_period_start": found.period_start,
        "current_period_end": found.period_end,
        "cancel_at_period_end": found.cancel_at_period_end,
        "trial_end": found.trial_end,
        "past_due_since": past_due_since if found.status == "past_due" else None,
    }
    await _save(session, found.id, known=known, state=state, now=now)


async def _plan_state(session: AsyncSession, found: Subscription) -> dict[str, Any]:
    """What holds now, and what is to come: a smaller plan waits until the period that was paid is over."""
    bought = await get_purchase(session, found.price_id, quantity=found.quantity)
    terms, kept = bought.terms, found.kept
    if not terms.is_plan:
        raise PaymentRefusedError("The subscription's price is not a plan's.")
    coming = {"plan_id": terms.offer_id, "plan_version": terms.version, "quantity": found.quantity}
    if kept is None or found.period_end > kept.until:
        pending = {"pending_plan_id": None, "pending_plan_version": None, "pending_quantity": None}
        return {**coming, **pending, "currency": bought.currency}
    return {
        "plan_id": kept.plan_id,
        "plan_version": kept.version,
        "quantity": kept.quantity,
        **{f"pending_{name}": value for name, value in coming.items()},
        "currency": bought.currency,
    }


async def _save(
    session: AsyncSession, subscription_id: str, *, known: Any, state: dict[str, Any], now: datetime
) -> None:
    terms = await catalogue.find_terms(session, state["plan_id"], state["plan_version"])
    if terms is None:
        raise PaymentRefusedError("The subscription names a plan version that we never had.")
    grace, since = terms.plan.grace, state["past_due_since"]
    told = told_status(state["status"], grace=grace, past_due_since=since, now=now)
    state = {**state, "told_status": told, "grace_until": grace_until(grace, since)}
    if known is not None and all(getattr(known, name) == value for name, value in state.items()):
        return
    version = known.version + 1 if known else 1
    await payments.save_subscription(session, id=subscription_id, version=version, **state)
    await account_settings.save_settings(session, state["account_id"], due_at=now)
    changed = SubscriptionChanged.model_validate(
        {
            **state,
            "status": told,
            "id": fact_id(SubscriptionChanged.type, subscription_id, version),
            "time": now,
            "subscription_id": subscription_id,
            "version": version,
        }
    )
    await outbox.add(session, changed)


async def end_graces(session: AsyncSession, *, now: datetime) -> int:
    """Tell of the subscriptions whose patience is over; how many there were."""
    over = await payments.list_grace_over(session, now, limit=BATCH)
    for subscription_id in over:
        await _tell_again(session, subscription_id, now=now)
    return len(over)


async def _tell_again(session: AsyncSession, subscription_id: str, *, now: datetime) -> None:
    row = await payments.lock_subscription(session, subscription_id)
    if row is not None and row.status == "past_due":
        await _save(session, row.id, known=row, state=state_of(row), now=now)


STATE = (
    "account_id",
    "plan_id",
    "plan_version",
    "quantity",
    "pending_plan_id",
    "pending_plan_version",
    "pending_quantity",
    "currency",
    "status",
    "current_period_start",
    "current_period_end",
    "cancel_at_period_end",
    "trial_end",
    "past_due_since",
)


def state_of(row: Any) -> dict[str, Any]:
    """What of a row is told."""
    return {name: getattr(row, name) for name in STATE}


async def save_local(session: AsyncSession, subscription_id: str, *, known: Any, now: datetime, **state: Any) -> None:
    """Change a subscription that is our own; under the account's lock."""
    await _save(session, subscription_id, known=known, state=state, now=now)
