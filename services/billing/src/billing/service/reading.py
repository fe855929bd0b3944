"""What to read again from Stripe when an event says that something changed; the event's own content is not used."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from billing.adapters.shapes import DETACHED
from billing.adapters.stripe_api import StripeApi
from billing.domain.states import Reading, StripeEvent


async def read_again(stripe: StripeApi, event: StripeEvent) -> Reading:
    """The present state of what an event speaks of; no transaction may be open."""
    return await _ALL_READERS[event.type](stripe, event.object_id)


def together(events: Sequence[StripeEvent]) -> list[list[StripeEvent]]:
    """Events that the same reading answers: each was stored before it is made."""
    groups: dict[tuple[object, str], list[StripeEvent]] = {}
    for event in events:
        groups.setdefault((_ALL_READERS[event.type], event.object_id), []).append(event)
    return list(groups.values())


async def _intent(stripe: StripeApi, intent_id: str) -> Reading:
    intent = await stripe.get_intent(intent_id)
    return Reading(attempt=intent) if intent.attempt_id else Reading()


async def _setup(stripe: StripeApi, setup_id: str) -> Reading:
    return await _wallet_of(stripe, await stripe.find_customer_of_setup(setup_id))


async def _method(stripe: StripeApi, method_id: str) -> Reading:
    return await _wallet_of(stripe, await stripe.find_customer_of_method(method_id))


async def _customer(stripe: StripeApi, customer: str) -> Reading:
    return await _wallet_of(stripe, customer)


async def _wallet_of(stripe: StripeApi, customer: str | None) -> Reading:
    return Reading(wallet=(customer, await stripe.payments.get_wallet(customer))) if customer else Reading()


async def _credit_note(stripe: StripeApi, note_id: str) -> Reading:
    return Reading(credit_note=await stripe.get_credit_note(note_id))


async def _session(stripe: StripeApi, session_id: str) -> Reading:
    session = await stripe.get_session(session_id)
    subscription = await stripe.get_subscription(session.subscription_id) if session.subscription_id else None
    invoice = await stripe.get_invoice(session.invoice_id) if session.invoice_id else None
    return Reading(session=session, subscription=subscription, invoice=invoice)


async def _subscription(stripe: StripeApi, subscription_id: str) -> Reading:
    return Reading(subscription=await stripe.get_subscription(subscription_id))


async def _invoice(stripe: StripeApi, invoice_id: str) -> Reading:
    """With its subscription: a part of a period is a part of something."""
    invoice = await stripe.get_invoice(invoice_id)
    subscription_id = invoice.subscription_id
    subscription = await stripe.get_subscription(subscription_id) if subscription_id else None
    return Reading(invoice=invoice, subscription=subscription)


async def _charge(stripe: StripeApi, charge_id: str) -> Reading:
    return await _with_refunds(stripe, await stripe.find_payment_of_charge(charge_id))


async def _refund(stripe: StripeApi, refund_id: str) -> Reading:
    return await _with_refunds(stripe, await stripe.find_payment_of_refund(refund_id))


async def _with_refunds(stripe: StripeApi, payment_id: str | None) -> Reading:
    if payment_id is None:
        return Reading()
    reading = await _payment(stripe, payment_id)
    return replace(reading, refunds=await stripe.list_refunds(payment_id))


async def _dispute(stripe: StripeApi, dispute_id: str) -> Reading:
    dispute, payment_id = await stripe.get_dispute(dispute_id)
    if payment_id is None:
        return Reading()
    return replace(await _payment(stripe, payment_id), dispute=dispute)


async def _payment(stripe: StripeApi, payment_id: str) -> Reading:
    """A payment with what it paid for, so that it is in our books before it is reversed."""
    session = await stripe.find_session_of_payment(payment_id)
    invoice = None if session else await stripe.find_invoice_of_payment(payment_id)
    if session or invoice:
        return Reading(session=session, invoice=invoice, payment_id=payment_id)
    intent = await stripe.get_intent(payment_id)
    return Reading(attempt=intent if intent.attempt_id else None, payment_id=payment_id)


async def _wrong_use(stripe: StripeApi, event_id: str) -> Reading:
    return Reading(wrong_use=tuple(await stripe.meters.wrong_identifiers(event_id)))


_READERS: Final[Mapping[str, Callable[[StripeApi, str], Awaitable[Reading]]]] = {
    "checkout.session.completed": _session,
    "checkout.session.async_payment_succeeded": _session,
    "checkout.session.async_payment_failed": _session,
    "checkout.session.expired": _session,
    "customer.subscription.created": _subscription,
    "customer.subscription.updated": _subscription,
    "customer.subscription.deleted": _subscription,
    "invoice.finalized": _invoice,
    "invoice.paid": _invoice,
    "invoice.payment_failed": _invoice,
    "invoice.voided": _invoice,
    "invoice.marked_uncollectible": _invoice,
    "payment_intent.succeeded": _intent,
    "payment_intent.payment_failed": _intent,
    "payment_intent.requires_action": _intent,
    "payment_intent.canceled": _intent,
    "setup_intent.succeeded": _setup,
    "payment_method.attached": _method,
    DETACHED: _customer,
    "customer.updated": _customer,
    "credit_note.created": _credit_note,
    "credit_note.updated": _credit_note,
    "credit_note.voided": _credit_note,
    "charge.updated": _charge,
    "charge.refunded": _charge,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.closed": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
}

LISTED: Final = tuple(_READERS)
"""The types that Stripe's list of events has, of those that change something here."""

_THIN_READERS: Final[Mapping[str, Callable[[StripeApi, str], Awaitable[Reading]]]] = {
    "v1.billing.meter.error_report_triggered": _wrong_use,
    "v1.billing.meter.no_meter_found": _wrong_use,
}

_ALL_READERS: Final = {**_READERS, **_THIN_READERS}
HANDLED: Final = (*LISTED, *_THIN_READERS)
"""All types that change something here."""
