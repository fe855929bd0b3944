"""Invoices of subscriptions, and the payments made on them."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.intents import attempt_payment, new_intent
from sandbox.stripe.objects.invoice_form import BLANK_INVOICE, invoice_line
from sandbox.stripe.parameters import Choice, Fields, Kind, Text, not_done
from sandbox.stripe.routing import listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/invoices"
PAYMENTS_PATH = "/v1/invoice_payments"
SUBSCRIPTION = "parent.subscription_details.subscription"
FILTERS: dict[str, Kind] = {
    "customer": Text(),
    "subscription": Text(),
    "status": Choice("draft", "open", "paid", "uncollectible", "void"),
    **not_done("collection_method customer_account due_date"),
}
PAYMENT = Fields(
    {"type": Choice("payment_intent", not_done=("charge", "payment_record")), "payment_intent": Text()},
    required=("type", "payment_intent"),
)
PAYMENT_FILTERS: dict[str, Kind] = {
    "invoice": Text(),
    "payment": PAYMENT,
    "status": Choice("canceled", "open", "paid"),
}
DESCRIPTIONS = {"subscription_create": "Subscription creation", "subscription_cycle": "Subscription update"}
RETRY_AFTER_S = 3 * 24 * 3600


def new_invoice(work: Work, subscription: Json, *, reason: str, covered: tuple[int, int]) -> Json:
    """A finalised invoice for the subscription's present period, still open; `covered` is the period that ended."""
    customer = work.get("customer", subscription["customer"])
    total = sum(item["price"]["unit_amount"] * item["quantity"] for item in subscription["items"]["data"])
    invoice = _invoice(work, subscription, customer, total=total)
    invoice |= {"billing_reason": reason, "period_start": covered[0], "period_end": covered[1]}
    invoice["lines"] = _lines(work, subscription, invoice_id=invoice["id"])
    draft = work.insert({**invoice, "status": "draft", "number": None, "effective_at": None})
    work.emit("invoice.created", draft)
    invoice["number"] = _next_number(work, customer)
    work.store.save(invoice)
    work.emit("invoice.finalized", invoice)
    _new_payment(work, invoice)
    return invoice


def _lines(work: Work, subscription: Json, *, invoice_id: str) -> Json:
    lines = [
        invoice_line(
            item,
            subscription,
            invoice_id=invoice_id,
            product_name=work.get("product", item["price"]["product"])["name"],
        )
        for item in subscription["items"]["data"]
    ]
    return {"object": "list", "data": lines, "has_more": False, "url": f"{PATH}/{invoice_id}/lines"}


def _next_number(work: Work, customer: Json) -> str:
    sequence = customer["next_invoice_sequence"]
    work.change(customer, None, next_invoice_sequence=sequence + 1)
    return f"{customer['invoice_prefix']}-{sequence:04d}"


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


def collect_invoice(work: Work, invoice: Json, *, succeeds: bool) -> Json:
    """One try to take what an open invoice asks for."""
    if invoice["status"] != "open":
        raise StripeError(f"Invoice {invoice['id']} is {invoice['status']}; only an open one can be paid.")
    (payment,) = work.list_all("invoice_payment", invoice=invoice["id"])
    intent = work.get("payment_intent", payment["payment"]["payment_intent"])
    attempt_payment(work, intent, succeeds=succeeds, email=invoice["customer_email"])
    tried = {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    if not succeeds:
        work.change(invoice, None, **tried, next_payment_attempt=work.now + RETRY_AFTER_S)
        work.emit("invoice.payment_failed", invoice)
        return invoice
    _mark_paid(work, invoice, payment, tried=tried)
    return invoice


def _mark_paid(work: Work, invoice: Json, payment: Json, *, tried: Json) -> None:
    paid_minor = invoice["amount_due"]
    work.change(
        payment,
        None,
        amount_paid=paid_minor,
        status="paid",
        status_transitions={**payment["status_transitions"], "paid_at": work.now},
    )
    work.change(
        invoice,
        None,
        **tried,
        amount_paid=paid_minor,
        amount_remaining=0,
        next_payment_attempt=None,
        status="paid",
        status_transitions={**invoice["status_transitions"], "paid_at": work.now},
    )
    work.emit("invoice_payment.paid", payment)
    work.emit("invoice.payment_succeeded", invoice)
    work.emit("invoice.paid", invoice)


def stop_collecting(work: Work, subscription: Json) -> None:
    """A subscription that ends keeps its open invoices, but nobody asks for them again by itself."""
    for invoice in work.list_all("invoice", **{SUBSCRIPTION: subscription["id"], "status": "open"}):
        work.change(invoice, "invoice.updated", auto_advance=False, next_payment_attempt=None)


def _invoice(work: Work, subscription: Json, customer: Json, *, total: int) -> Json:
    details = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    amounts = ("amount_due", "amount_remaining", "subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax")
    return {
        **BLANK_INVOICE,
        **dict.fromkeys(amounts, total),
        "id": new_id("in"),
        "created": work.now,
        "currency": subscription["currency"],
        "customer": customer["id"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "effective_at": work.now,
        "parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"},
        "status_transitions": {**BLANK_INVOICE["status_transitions"], "finalized_at": work.now},
    }


ROUTES = (
    listing(PATH, "invoice", FILTERS, columns={"subscription": SUBSCRIPTION}),
    retrieve(PATH, "invoice"),
    listing(PAYMENTS_PATH, "invoice_payment", PAYMENT_FILTERS),
    retrieve(PAYMENTS_PATH, "invoice_payment"),
)
