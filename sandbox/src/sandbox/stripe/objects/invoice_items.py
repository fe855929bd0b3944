"""Invoice items: amounts that wait for their customer's next invoice."""

from typing import Any

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.metadata import fresh
from sandbox.stripe.objects.tax_rates import ENABLED, country_of, tax_lines, total_taxes
from sandbox.stripe.parameters import EXPAND, Currency, Fields, Flag, Integer, Kind, Metadata, Only, Text, not_done
from sandbox.stripe.routing import Params, Route, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/invoiceitems"
CREATABLE: dict[str, Kind] = {
    "amount": Integer(minimum=-99_999_999),
    "currency": Currency(),
    "customer": Text(),
    "description": Text(),
    "discountable": Only(Flag(), True),
    "invoice": Text(),
    "metadata": Metadata(),
    "period": Fields({"start": Integer(), "end": Integer()}, required=("start", "end")),
    "subscription": Text(),
    **not_done(
        "customer_account discounts price_data pricing quantity quantity_decimal tax_behavior tax_code tax_rates "
        "unit_amount_decimal"
    ),
}


def new_invoice_item(
    work: Work, *, customer_id: str, amount_minor: int, currency: str, description: str | None, **fields: Any
) -> Json:
    """`fields`: `period`, `subscription_id`, `proration_of` (the subscription's item), `invoice_id`, `metadata`."""
    item = fields.get("proration_of")
    subscription_id = fields.get("subscription_id")
    details = {"subscription": subscription_id, "subscription_item": item["id"] if item else None}
    if item is None:
        details.pop("subscription_item")
    parent = {"subscription_details": details, "type": "subscription_details"} if subscription_id else None
    invoice_item = work.insert(
        {
            "id": new_id("ii"),
            "object": "invoiceitem",
            "amount": amount_minor,
            "currency": currency,
            "customer": customer_id,
            "customer_account": None,
            "date": work.now,
            "description": description,
            "discountable": item is None,
            "discounts": [],
            "invoice": fields.get("invoice_id"),
            "livemode": False,
            "metadata": fresh(fields.get("metadata")),
            "net_amount": amount_minor,
            "parent": parent,
            "period": fields.get("period") or {"start": work.now, "end": work.now},
            "pricing": _pricing(item),
            "proration": item is not None,
            "quantity": item["quantity"] if item else 1,
            "quantity_decimal": str(item["quantity"] if item else 1),
            "tax_rates": [],
            "test_clock": work.get("customer", customer_id)["test_clock"],
        }
    )
    work.emit("invoiceitem.created", invoice_item)
    return invoice_item


def _pricing(item: Json | None) -> Json | None:
    if item is None:
        return None
    price = item["price"]
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def take_pending(work: Work, *, customer_id: str, subscription_id: str | None, invoice_id: str | None) -> list[Json]:
    """The items that the next invoice carries; without an invoice id they are only looked at."""
    waiting = []
    for item in work.list_all("invoiceitem", customer=customer_id)[::-1]:
        belongs = (item["parent"] or {}).get("subscription_details", {}).get("subscription")
        if item["invoice"] is None and belongs in {None, subscription_id}:
            waiting.append(item if invoice_id is None else work.change(item, None, invoice=invoice_id))
    return waiting


def create_invoice_item(work: Work, ident: str, params: Params) -> Json:
    if "amount" not in params or "currency" not in params:
        missing = "currency" if "amount" in params else "amount"
        raise StripeError(f"Missing required param: {missing}.", code="parameter_missing", param=missing)
    work.referenced("customer", params["customer"], param="customer")
    if "subscription" in params:
        work.referenced("subscription", params["subscription"], param="subscription")
    if "invoice" in params and work.referenced("invoice", params["invoice"], param="invoice")["status"] != "draft":
        raise StripeError("The invoice is not a draft; items can only be added to drafts.", param="invoice")
    return _placed(
        work,
        new_invoice_item(
            work,
            customer_id=params["customer"],
            amount_minor=params["amount"],
            currency=params["currency"],
            description=params.get("description"),
            period=params.get("period"),
            subscription_id=params.get("subscription"),
            invoice_id=params.get("invoice"),
            metadata=params.get("metadata"),
        ),
    )


def _placed(work: Work, item: Json) -> Json:
    """On a draft that it names, an item shows at once."""
    if item["invoice"]:
        invoice = work.get("invoice", item["invoice"])
        lines = invoice["lines"]["data"]
        lines.append(line_of_item(item, invoice_id=invoice["id"]))
        customer = work.get("customer", invoice["customer"])
        changes = taxed(work, customer, lines, is_taxed=invoice["automatic_tax"]["enabled"])
        work.change(invoice, "invoice.updated", **changes, lines=invoice["lines"])
    return item


def taxed(work: Work, customer: Json, lines: list[Json], *, is_taxed: bool) -> Json:
    """The invoice's sums, with the taxes of its lines where it computes them and knows where its customer is."""
    country = country_of(customer)
    for line in lines:
        line["taxes"] = []
    if is_taxed and country is not None:
        tax_lines(work, lines, country=country)
    status = None if not is_taxed else "complete" if country else "requires_location_inputs"
    found = ENABLED if is_taxed else {"disabled_reason": None, "enabled": False, "liability": None}
    automatic = {**found, "provider": "stripe" if is_taxed else None, "status": status}
    return totals(lines) | {"automatic_tax": automatic}


def totals(lines: list[Json]) -> Json:
    subtotal = sum(line["amount"] for line in lines)
    taxes = total_taxes(lines)
    on_top = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    inside = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "inclusive")
    total = subtotal + on_top
    due = dict.fromkeys(("amount_due", "amount_remaining"), max(total, 0))
    without = dict.fromkeys(("subtotal_excluding_tax", "total_excluding_tax"), subtotal - inside)
    return due | without | {"subtotal": subtotal, "total": total, "total_taxes": taxes}


def line_of_item(item: Json, *, invoice_id: str | None) -> Json:
    details = (item["parent"] or {}).get("subscription_details", {})
    return {
        "id": new_id("il"),
        "object": "line_item",
        **{name: item[name] for name in ("amount", "currency", "description", "discountable", "metadata", "period")},
        "discount_amounts": [],
        "discounts": [],
        "invoice": invoice_id,
        "livemode": False,
        "parent": {
            "invoice_item_details": {
                "invoice_item": item["id"],
                "proration": item["proration"],
                "proration_details": {"credited_items": None} if item["proration"] else None,
                "subscription": details.get("subscription"),
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "pretax_credit_amounts": [],
        "pricing": item["pricing"],
        "quantity": item["quantity"],
        "quantity_decimal": item["quantity_decimal"],
        "subscription": details.get("subscription"),
        "subtotal": item["amount"],
        "taxes": [],
    }


def delete_invoice_item(work: Work, ident: str, params: Params) -> Json:
    item = work.get("invoiceitem", ident)
    if item["invoice"]:
        raise StripeError("Only invoice items that are pending can be deleted here.", param="invoiceitem")
    work.store.delete(ident)
    work.emit("invoiceitem.deleted", item)
    return {"id": ident, "object": "invoiceitem", "deleted": True}


ROUTES = (
    create(PATH, create_invoice_item, CREATABLE, required=("customer",)),
    listing(PATH, "invoiceitem", {"customer": Text(), "invoice": Text(), **not_done("customer_account pending")}),
    retrieve(PATH, "invoiceitem"),
    Route("DELETE", f"{PATH}/{{id}}", delete_invoice_item, Fields(EXPAND)),
)
