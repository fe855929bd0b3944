"""What callers may ask of invoices: make one, finalise, pay, void or give it up, and look at its lines and payments."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.expansion import list_of
from sandbox.stripe.objects.cycles import after_collection
from sandbox.stripe.objects.intents import refusal_of
from sandbox.stripe.objects.invoice_preview import PREVIEW, preview_invoice
from sandbox.stripe.objects.invoices import (
    PATH,
    SUBSCRIPTION,
    collect_invoice,
    end_invoice,
    finalise_invoice,
    new_invoice,
    payment_of,
)
from sandbox.stripe.objects.metadata import fresh, merged
from sandbox.stripe.objects.payment_methods import referenced_method
from sandbox.stripe.objects.tax_rates import check_active
from sandbox.stripe.parameters import (
    AUTOMATIC_TAX,
    EXPAND,
    Choice,
    Currency,
    Fields,
    Flag,
    Integer,
    Kind,
    Metadata,
    Text,
    not_done,
)
from sandbox.stripe.routing import Params, Route, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work

PAYMENTS_PATH = "/v1/invoice_payments"
RETRY_SOON_S = 3600
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
UPDATABLE: dict[str, Kind] = {
    "auto_advance": Flag(),
    "default_payment_method": Text(),
    "description": Text(),
    "metadata": Metadata(),
    **not_done(
        "account_tax_ids application_fee_amount automatic_tax automatically_finalizes_at collection_method "
        "custom_fields days_until_due default_source default_tax_rates discounts due_date effective_at footer issuer "
        "number on_behalf_of payment_settings rendering shipping_cost shipping_details statement_descriptor "
        "transfer_data"
    ),
}
CREATABLE: dict[str, Kind] = {
    "auto_advance": Flag(),
    "collection_method": Choice("charge_automatically", not_done=("send_invoice",)),
    "currency": Currency(),
    "customer": Text(),
    "default_payment_method": Text(),
    "description": Text(),
    "metadata": Metadata(),
    "pending_invoice_items_behavior": Choice("exclude", "include"),
    "automatic_tax": AUTOMATIC_TAX,
    **not_done(
        "account_tax_ids application_fee_amount automatically_finalizes_at custom_fields customer_account "
        "days_until_due default_source default_tax_rates discounts due_date effective_at footer from_invoice issuer "
        "number on_behalf_of payment_settings rendering shipping_cost shipping_details statement_descriptor "
        "subscription transfer_data"
    ),
}
PAYABLE: dict[str, Kind] = {
    "off_session": Flag(),
    "payment_method": Text(),
    **not_done("forgive mandate paid_out_of_band source"),
}


def create_invoice(work: Work, ident: str, params: Params) -> Json:
    customer = work.referenced("customer", params["customer"], param="customer")
    is_taxed = params.get("automatic_tax", {}).get("enabled", False)
    if is_taxed:
        check_active(work)
    return new_invoice(
        work,
        customer,
        subscription=None,
        reason="manual",
        lines=[],
        auto_advance=params.get("auto_advance", False),
        currency=params.get("currency") or customer["currency"] or "usd",
        default_payment_method=params.get("default_payment_method"),
        description=params.get("description"),
        metadata=fresh(params.get("metadata")),
        automatic_tax=is_taxed,
        without_pending=params.get("pending_invoice_items_behavior") != "include",
    )


def update_invoice(work: Work, ident: str, params: Params) -> Json:
    invoice = work.get("invoice", ident)
    changes: Params = {
        name: params[name] for name in ("auto_advance", "default_payment_method", "description") if name in params
    }
    if invoice["status"] != "draft" and {"default_payment_method", "description"} & set(changes):
        raise StripeError("Finalized invoices can't be updated in this way.", code="invoice_not_editable")
    if changes.get("auto_advance") and invoice["status"] == "draft":
        changes["automatically_finalizes_at"] = work.now + RETRY_SOON_S
    if "metadata" in params:
        changes["metadata"] = merged(invoice["metadata"], params["metadata"])
    return work.change(invoice, "invoice.updated", **changes)


def finalise(work: Work, ident: str, params: Params) -> Json:
    invoice = work.get("invoice", ident)
    finalise_invoice(work, invoice, auto_advance=params.get("auto_advance"))
    if invoice["status"] == "open" and invoice["auto_advance"]:
        work.change(invoice, None, next_payment_attempt=work.now + RETRY_SOON_S)
    after_collection(work, invoice)
    return invoice


def pay(work: Work, ident: str, params: Params) -> Json:
    invoice = work.get("invoice", ident)
    if invoice["status"] == "paid":
        raise StripeError("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] == "draft":
        finalise_invoice(work, invoice)
    if invoice["status"] == "paid":
        return after_collection(work, invoice)
    method = referenced_method(work, params["payment_method"]) if "payment_method" in params else None
    ended = collect_invoice(work, invoice, method=method, off_session=params.get("off_session", True))
    after_collection(work, invoice)
    return _answered(work, invoice, ended=ended)


def _answered(work: Work, invoice: Json, *, ended: str) -> Json:
    if ended in {"succeeded", "processing"}:
        return invoice
    if ended == "no_payment_method":
        message = "There is no `default_payment_method` set on this Customer or Invoice."
        raise _NoMethodError(message, code="invoice_payment_intent_requires_action")
    _, intent = payment_of(work, invoice)
    if ended == "requires_action":
        message = "This payment requires additional user action before it can be completed successfully."
        raise _NoMethodError(message, code="invoice_payment_intent_requires_action")
    raise refusal_of(intent)


class _NoMethodError(StripeError):
    """The try is on record; the caller hears why it came to nothing."""

    status = 402
    keeps_work = True


def void(work: Work, ident: str, params: Params) -> Json:
    return _ended(work, ident, status="void", allowed=("open", "uncollectible"))


def give_up(work: Work, ident: str, params: Params) -> Json:
    return _ended(work, ident, status="uncollectible", allowed=("open",))


def _ended(work: Work, ident: str, *, status: str, allowed: tuple[str, ...]) -> Json:
    invoice = work.get("invoice", ident)
    if invoice["status"] not in allowed:
        raise StripeError(f"This invoice is {invoice['status']}; it cannot become {status}.")
    return end_invoice(work, invoice, status=status)


def delete_draft(work: Work, ident: str, params: Params) -> Json:
    invoice = work.get("invoice", ident)
    if invoice["status"] != "draft" or invoice["parent"]:
        raise StripeError("You can only delete draft invoices that no subscription made.")
    for item in work.list_all("invoiceitem", invoice=ident):
        work.change(item, None, invoice=None)
    work.store.delete(ident)
    work.emit("invoice.deleted", invoice)
    return {"id": ident, "object": "invoice", "deleted": True}


def list_lines(work: Work, ident: str, params: Params) -> Json:
    lines = work.get("invoice", ident)["lines"]["data"]
    return list_of(lines, url=f"{PATH}/{ident}/lines")


ROUTES = (
    create(PATH, create_invoice, CREATABLE, required=("customer",)),
    listing(PATH, "invoice", FILTERS, columns={"subscription": SUBSCRIPTION}),
    create(f"{PATH}/create_preview", preview_invoice, PREVIEW),
    Route(
        "GET",
        f"{PATH}/{{id}}/lines",
        list_lines,
        Fields({**EXPAND, "limit": Integer(minimum=20, maximum=100), **not_done("ending_before starting_after")}),
    ),
    create(f"{PATH}/{{id}}/finalize", finalise, {"auto_advance": Flag()}),
    create(f"{PATH}/{{id}}/pay", pay, PAYABLE),
    create(f"{PATH}/{{id}}/void", void, {}),
    create(f"{PATH}/{{id}}/mark_uncollectible", give_up, {}),
    retrieve(PATH, "invoice"),
    create(f"{PATH}/{{id}}", update_invoice, UPDATABLE),
    Route("DELETE", f"{PATH}/{{id}}", delete_draft, Fields(EXPAND)),
    listing(PAYMENTS_PATH, "invoice_payment", PAYMENT_FILTERS),
    retrieve(PAYMENTS_PATH, "invoice_payment"),
)
