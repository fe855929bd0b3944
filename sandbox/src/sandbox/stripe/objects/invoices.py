"""Invoices from draft to paid: what they ask for, when they are finalised, how they are collected."""

from typing import Any

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.cards import PROCESSING, SUCCEEDED
from sandbox.stripe.objects.intents import attempt_payment, new_intent, outcome_of
from sandbox.stripe.objects.invoice_form import BLANK_INVOICE
from sandbox.stripe.objects.invoice_items import line_of_item, take_pending, taxed
from sandbox.stripe.objects.payment_methods import find_chargeable
from sandbox.stripe.objects.session_items import LEAST_TOTALS_MINOR
from sandbox.stripe.objects.tax_rates import country_of
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/invoices"
SUBSCRIPTION = "parent.subscription_details.subscription"
DESCRIPTIONS = {
    "manual": "Payment for Invoice",
    "subscription_create": "Subscription creation",
    "subscription_cycle": "Subscription update",
    "subscription_update": "Subscription update",
}
GRACE_S = 3600
RETRY_AFTER_S = 3 * 24 * 3600
MOST_TRIES = 4


def new_invoice(
    work: Work, customer: Json, *, subscription: Json | None, reason: str, lines: list[Json], **fields: Any
) -> Json:
    """A draft with these lines and whatever waits for the customer's next invoice; `covered` is the ended period."""
    invoice_id = new_id("in")
    subscription_id = subscription["id"] if subscription else None
    pending = (
        []
        if fields.get("without_pending")
        else take_pending(work, customer_id=customer["id"], subscription_id=subscription_id, invoice_id=invoice_id)
    )
    whole = [{**line, "invoice": invoice_id} for line in lines]
    whole += [line_of_item(item, invoice_id=invoice_id) for item in pending]
    is_taxed = bool(fields.get("automatic_tax") or (subscription or {}).get("automatic_tax", {}).get("enabled"))
    start, end = fields.get("covered", (work.now, work.now))
    invoice = work.insert(
        {
            **BLANK_INVOICE,
            **taxed(work, customer, whole, is_taxed=is_taxed),
            **told_of(customer),
            "id": invoice_id,
            "auto_advance": fields.get("auto_advance", True),
            "automatically_finalizes_at": work.now + GRACE_S if fields.get("auto_advance", True) else None,
            "billing_reason": reason,
            "created": work.now,
            "currency": (subscription or {}).get("currency") or fields["currency"],
            "default_payment_method": fields.get("default_payment_method"),
            "description": fields.get("description"),
            "lines": {"object": "list", "data": whole, "has_more": False, "url": f"{PATH}/{invoice_id}/lines"},
            "metadata": fields.get("metadata", {}),
            "parent": parent_of(subscription),
            "period_end": end,
            "period_start": start,
        }
    )
    work.emit("invoice.created", invoice)
    return invoice


def told_of(customer: Json) -> Json:
    return {
        "customer": customer["id"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "test_clock": customer["test_clock"],
    }


def parent_of(subscription: Json | None) -> Json | None:
    if subscription is None:
        return None
    details = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def subscription_of(work: Work, invoice: Json) -> Json | None:
    details = (invoice["parent"] or {}).get("subscription_details")
    return work.find("subscription", details["subscription"]) if details else None


def finalise_invoice(work: Work, invoice: Json, *, auto_advance: bool | None = None) -> Json:
    """The draft becomes a claim: numbered, its amount fixed by the customer's balance, its payment prepared."""
    if invoice["status"] != "draft":
        raise StripeError(
            f"This invoice is already finalized, you can't re-finalize a non-draft invoice: {invoice['id']}"
        )
    customer = work.get("customer", invoice["customer"])
    _locate(work, invoice, customer)
    sequence = customer["next_invoice_sequence"]
    balances = _balances(invoice, customer)
    work.change(customer, None, next_invoice_sequence=sequence + 1, balance=balances["ending_balance"])
    work.change(
        invoice,
        None,
        **balances,
        auto_advance=invoice["auto_advance"] if auto_advance is None else auto_advance,
        automatically_finalizes_at=None,
        effective_at=work.now,
        hosted_invoice_url=f"{work.base_url}/invoice/{invoice['id']}",
        invoice_pdf=f"{work.base_url}/invoice/{invoice['id']}/pdf",
        number=f"{customer['invoice_prefix']}-{sequence:04d}",
        status="open",
        status_transitions={**invoice["status_transitions"], "finalized_at": work.now},
    )
    work.emit("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        _mark_paid(work, invoice, None, tried={"attempted": True})
    else:
        _new_payment(work, invoice)
    return invoice


def _locate(work: Work, invoice: Json, customer: Json) -> None:
    """The taxes as they are now. For a customer who is nowhere Stripe goes on without them, and says why."""
    if not invoice["automatic_tax"]["enabled"]:
        return
    is_located = country_of(customer) is not None
    lines = invoice["lines"]["data"]
    changes = taxed(work, customer, lines, is_taxed=is_located)
    if not is_located:
        changes["automatic_tax"] |= {"disabled_reason": "finalization_requires_location_inputs"}
        subscription = subscription_of(work, invoice)
        if subscription is not None:
            told = {"disabled_reason": "requires_location_inputs", "enabled": False, "liability": None}
            work.change(subscription, "customer.subscription.updated", automatic_tax=told)
    work.change(invoice, None, **changes, lines=invoice["lines"])


def _balances(invoice: Json, customer: Json) -> Json:
    """A credit pays first; what is left below the least that can be charged waits for the next invoice."""
    left = invoice["total"] + customer["balance"]
    least = LEAST_TOTALS_MINOR.get(invoice["currency"], 0)
    due = left if left >= least else 0
    ending = left - due
    return {
        "amount_due": due,
        "amount_remaining": due,
        "ending_balance": ending,
        "starting_balance": customer["balance"],
    }


def _new_payment(work: Work, invoice: Json) -> Json:
    """The invoice's default payment: since basil the only road from an invoice to its payment intent."""
    intent = new_intent(
        work,
        amount_minor=invoice["amount_due"],
        currency=invoice["currency"],
        customer_id=invoice["customer"],
        description=DESCRIPTIONS[invoice["billing_reason"]],
        metadata={},
    )
    return work.insert(
        {
            "id": new_id("inpay"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": work.now,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def collect_invoice(
    work: Work, invoice: Json, *, method: Json | None = None, outcome: str | None = None, off_session: bool = True
) -> str:
    """One try to take what an open invoice asks for: how it ended. The method's own answer counts without `outcome`."""
    if invoice["status"] not in {"open", "uncollectible"}:
        raise StripeError(f"Invoice {invoice['id']} is {invoice['status']}; only an open one can be paid.")
    payment, intent = payment_of(work, invoice)
    method = method or _method_of(work, invoice)
    if method is None:
        _mark_failed(work, invoice)
        return "no_payment_method"
    ended = outcome or outcome_of(method, off_session=off_session)
    attempt_payment(work, intent, method=method, outcome=ended, email=invoice["customer_email"])
    if ended == SUCCEEDED:
        _mark_paid(work, invoice, payment, tried=_tried(invoice))
    elif ended == PROCESSING:
        work.change(invoice, "invoice.updated", **_tried(invoice), next_payment_attempt=None)
    else:
        _mark_failed(work, invoice)
        if ended == "requires_action":
            work.emit("invoice.payment_action_required", invoice)
    return ended


def payment_of(work: Work, invoice: Json) -> tuple[Json, Json]:
    """The invoice's payment and its intent."""
    (payment,) = work.list_all("invoice_payment", invoice=invoice["id"])
    return payment, work.get("payment_intent", payment["payment"]["payment_intent"])


def _method_of(work: Work, invoice: Json) -> Json | None:
    subscription = subscription_of(work, invoice)
    own = subscription["default_payment_method"] if subscription else None
    return find_chargeable(
        work, work.get("customer", invoice["customer"]), preferred=invoice["default_payment_method"] or own
    )


def _tried(invoice: Json) -> Json:
    return {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}


def _mark_failed(work: Work, invoice: Json) -> None:
    tried = _tried(invoice)
    goes_on = invoice["auto_advance"] and tried["attempt_count"] < MOST_TRIES
    work.change(invoice, None, **tried, next_payment_attempt=work.now + RETRY_AFTER_S if goes_on else None)
    work.emit("invoice.payment_failed", invoice)


def arrived(work: Work, intent: Json, *, outcome: str) -> Json | None:
    """The transfer that was on its way to an invoice has ended; the invoice, if it was one's."""
    found = work.list_all("invoice_payment", **{"payment.payment_intent": intent["id"]})
    if not found:
        return None
    invoice = work.get("invoice", found[0]["invoice"])
    if outcome == SUCCEEDED:
        _mark_paid(work, invoice, found[0], tried={})
    else:
        work.change(invoice, None, attempt_count=invoice["attempt_count"] - 1)
        _mark_failed(work, invoice)
    return invoice


def _mark_paid(work: Work, invoice: Json, payment: Json | None, *, tried: Json) -> None:
    paid_minor = invoice["amount_remaining"]
    if payment is not None:
        transitions = {**payment["status_transitions"], "paid_at": work.now}
        work.change(payment, None, amount_paid=paid_minor, status="paid", status_transitions=transitions)
    work.change(
        invoice,
        None,
        **tried,
        amount_paid=invoice["amount_paid"] + paid_minor,
        amount_remaining=0,
        next_payment_attempt=None,
        status="paid",
        status_transitions={**invoice["status_transitions"], "paid_at": work.now},
    )
    if payment is not None:
        work.emit("invoice_payment.paid", payment)
    work.emit("invoice.payment_succeeded", invoice)
    work.emit("invoice.paid", invoice)


def end_invoice(work: Work, invoice: Json, *, status: str) -> Json:
    """Given up: `void` as if it had never been, `uncollectible` as a bad debt."""
    key = "voided_at" if status == "void" else "marked_uncollectible_at"
    transitions = {**invoice["status_transitions"], key: work.now}
    changes: Json = {"auto_advance": False, "next_payment_attempt": None, "automatically_finalizes_at": None}
    if status == "void":
        changes |= {"amount_remaining": 0}
    work.change(invoice, None, status=status, status_transitions=transitions, **changes)
    work.emit("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)
    return invoice


def stop_collecting(work: Work, subscription: Json) -> None:
    """A subscription that ends keeps its open invoices, but nobody asks for them again by itself."""
    for status in ("draft", "open"):
        for invoice in work.list_all("invoice", **{SUBSCRIPTION: subscription["id"], "status": status}):
            changes = {"auto_advance": False, "next_payment_attempt": None, "automatically_finalizes_at": None}
            work.change(invoice, "invoice.updated", **changes)
