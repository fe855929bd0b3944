"""Payments while nobody is there: one attempt per account and purpose, its id older than its first try."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing import metrics
from billing.domain.amounts import NANO_PER_MINOR
from billing.domain.collecting import HOPELESS, NEEDS_CUSTOMER, Purpose, outcome_of
from billing.domain.offers import Purchase, Terms
from billing.domain.states import Intent
from billing.domain.taxes import AUTOMATIC_TAX
from billing.errors import NotOursError, PaymentRefusedError
from billing.repository import accounts, catalogue, switches, use
from billing.repository import attempts as repository
from billing.repository import settings as account_settings
from billing.service.owners import lock_owner
from billing.service.settlement import Decline, Receipt, fail_payment, settle_payment
from kit import logging
from kit.clock import Clock
from kit.ids import uuid7

log = logging.get(__name__)

PATIENCE: Final = timedelta(minutes=1)
"""How long a try may be under way before another process takes it for lost."""


async def begin_attempt(
    session: AsyncSession,
    account_id: UUID,
    *,
    purpose: Purpose,
    terms: Terms,
    amount_minor: int,
    payment_method_id: str,
    clock: Clock,
) -> UUID | None:
    """Write down what will be asked for, before anybody is asked; None while another attempt is open."""
    attempt_id, now = uuid7(clock), clock.now()
    is_new = await repository.insert_attempt(
        session,
        id=attempt_id,
        account_id=account_id,
        purpose=purpose,
        offer_id=terms.offer_id,
        version=terms.version,
        amount_minor=amount_minor,
        is_taxed=await switches.is_on(session, AUTOMATIC_TAX),
        currency=terms.currency,
        payment_method_id=payment_method_id,
        next_try_at=now,
        created_at=now,
    )
    if is_new:
        metrics.ATTEMPTS.labels(purpose, "begun").inc()
    return attempt_id if is_new else None


async def apply_attempt(session: AsyncSession, intent: Intent, *, heard_at: datetime, now: datetime) -> None:
    """What became of an attempt, as Stripe has it now; once it has succeeded nothing undoes that here."""
    account_id = await lock_owner(session, intent.customer, claims=())
    attempt = await _get_own(session, intent, account_id)
    state = outcome_of(intent.status, intent.failure)
    if state == "succeeded":
        await _succeed(session, attempt, intent, heard_at=heard_at, now=now)
    elif attempt.state == "needs_action" and state == "given_up":
        await _withdrawn(session, attempt, now=now)
    elif state == "open" or attempt.state != "open":
        await repository.update_attempt(session, attempt.id, payment_id=intent.id)
    else:
        await _end(session, attempt, intent, state=state, now=now)


async def _get_own(session: AsyncSession, intent: Intent, account_id: UUID) -> Any:
    try:
        attempt = await repository.find_attempt(session, UUID(intent.attempt_id))
    except ValueError:
        attempt = None
    if attempt is None:
        raise NotOursError("No attempt of ours has this id.")
    if attempt.account_id != account_id:
        raise PaymentRefusedError("The attempt belongs to another account.")
    if (intent.amount_minor, intent.currency) != (attempt.amount_minor + attempt.tax_minor, attempt.currency):
        raise PaymentRefusedError("The payment is not for the attempt's amount.")
    return attempt


async def _succeed(session: AsyncSession, attempt: Any, intent: Intent, *, heard_at: datetime, now: datetime) -> None:
    if intent.received_minor != attempt.amount_minor + attempt.tax_minor:
        raise PaymentRefusedError("Less, or more, was received than asked for.")
    terms = await catalogue.find_terms(session, attempt.offer_id, attempt.version)
    assert terms is not None
    grant = Purchase(terms, attempt.currency, amount_minor=attempt.amount_minor).grant_amount
    receipt = Receipt(
        payment_id=intent.id,
        account_id=attempt.account_id,
        kind="bundle",
        terms=terms,
        currency=attempt.currency,
        paid_minor=intent.received_minor,
        tax_minor=attempt.tax_minor,
        # What is paid afterwards was granted by being used.
        grant_amount=grant if attempt.purpose == "auto_top_up" else 0,
        fee_minor=intent.fee_minor,
    )
    await settle_payment(session, receipt, heard_at=heard_at, now=now)
    # The row itself says `succeeded` as soon as it is updated.
    before = attempt.state
    if before == "succeeded":
        return
    await repository.update_attempt(
        session, attempt.id, state="succeeded", payment_id=intent.id, failure=None, ended_at=now
    )
    metrics.ATTEMPTS.labels(attempt.purpose, "succeeded").inc()
    if attempt.purpose == "pay_per_use":
        await _collected(session, attempt, before=before, now=now)
    else:
        going_on = {"top_up_paused": None, "top_up_low_since": None, "due_at": now}
        await account_settings.save_settings(session, attempt.account_id, **going_on)


async def _collected(session: AsyncSession, attempt: Any, *, before: str, now: datetime) -> None:
    if before not in {"open", "needs_action"}:
        # It was paid after all; another attempt may have taken its hours over.
        await use.attach_open(session, attempt.account_id, attempt.id)
    owed = await use.find_carry(session, attempt.account_id) + await use.sum_of_attempt(session, attempt.id)
    rest = owed - attempt.amount_minor * NANO_PER_MINOR
    if rest < 0:
        log.error("billing.use_paid_twice", attempt_id=str(attempt.id), payment_id=attempt.payment_id)
    await use.save_carry(session, attempt.account_id, max(0, rest))
    await account_settings.save_settings(session, attempt.account_id, use_blocked=None, due_at=now)


async def _withdrawn(session: AsyncSession, attempt: Any, *, now: datetime) -> None:
    """It waited for its customer and can be paid no more: only now may its hours be asked for anew."""
    await repository.update_attempt(session, attempt.id, state="given_up", ended_at=now)
    metrics.ATTEMPTS.labels(attempt.purpose, "withdrawn").inc()
    if attempt.purpose == "pay_per_use":
        await use.release(session, attempt.id)
        await account_settings.save_settings(session, attempt.account_id, use_look_at=now)


async def give_up(session: AsyncSession, attempt_id: UUID, *, reason: str, now: datetime) -> None:
    """Stripe will not take the request: nothing was taken, and asking again would not change it."""
    attempt = await repository.find_attempt(session, attempt_id)
    if attempt is None or attempt.state != "open":
        return
    await accounts.lock_account(session, attempt.account_id)
    await repository.update_attempt(session, attempt_id, state="given_up", failure=reason, ended_at=now)
    metrics.ATTEMPTS.labels(attempt.purpose, "given_up").inc()
    await _hold(session, attempt, reason=reason, is_final=True, now=now)


async def _hold(
    session: AsyncSession, attempt: Any, *, reason: str, is_final: bool, now: datetime, waits: bool = False
) -> None:
    """What was not paid stays owed and blocks more of it; top-ups wait where only the customer can help.

    A payment that `waits` for its customer can still be paid, so it keeps its hours: nothing else may ask for them.
    """
    if attempt.purpose == "pay_per_use":
        if not waits:
            await use.release(session, attempt.id)
        blocked = {"use_blocked": reason, "use_look_at": now, "due_at": now}
        await account_settings.save_settings(session, attempt.account_id, **blocked)
    elif is_final:
        paused = {"top_up_paused": reason, "top_up_low_since": None, "due_at": now}
        await account_settings.save_settings(session, attempt.account_id, **paused)


async def _end(session: AsyncSession, attempt: Any, intent: Intent, *, state: str, now: datetime) -> None:
    reason = intent.failure or ("authentication_required" if state == "needs_action" else intent.status)
    card = {"card_brand": intent.card.brand, "card_last4": intent.card.last4} if intent.card else {}
    told = {"payment_id": intent.id, "failure": reason, **card}
    await repository.update_attempt(session, attempt.id, state=state, ended_at=now, next_try_at=now, **told)
    metrics.ATTEMPTS.labels(attempt.purpose, state).inc()
    is_final = state == "needs_action" or reason in HOPELESS | NEEDS_CUSTOMER
    waits = state == "needs_action"
    await _hold(session, attempt, reason=reason, is_final=is_final, now=now, waits=waits)
    terms = await catalogue.find_terms(session, attempt.offer_id, attempt.version)
    assert terms is not None
    decline = Decline(
        payment_id=intent.id,
        account_id=attempt.account_id,
        kind="bundle",
        terms=terms,
        currency=attempt.currency,
        amount_minor=attempt.amount_minor + attempt.tax_minor,
        attempt=1,
        reason=reason,
        card=intent.card,
    )
    await fail_payment(session, decline, now=now)
