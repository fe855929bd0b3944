"""Stripe's JSON read into our own states; what does not have the promised shape is refused."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

from billing.domain.payment_methods import Card, PaymentMethod
from billing.domain.states import (
    CheckoutSession,
    CreditNote,
    Dispute,
    Intent,
    Invoice,
    InvoiceLine,
    Kept,
    Refund,
    StripeEvent,
    Subscription,
)
from billing.domain.tax_ids import TaxId
from billing.errors import StripeShapeError

Json = Mapping[str, Any]
T = TypeVar("T")

_IN_PAYMENT: Final = "payment_intent"
DETACHED: Final = "payment_method.detached"


def shaped(read: Callable[[Json], T], body: Json) -> T:
    """Read an object; raises `StripeShapeError` naming its kind, never its content."""
    try:
        return read(body)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        kind = body.get("object", "object") if isinstance(body, Mapping) else "object"
        raise StripeShapeError(f"Stripe's {kind} has another shape: {type(error).__name__}.") from error


def instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def ident(value: Any) -> str | None:
    """The id of a field that may be expanded."""
    if value is None or isinstance(value, str):
        return value
    return str(value["id"])


def session_of(body: Json) -> CheckoutSession:
    intent = body["payment_intent"]
    lines = (body.get("line_items") or {}).get("data", [])
    return CheckoutSession(
        id=body["id"],
        url=body["url"],
        mode=body["mode"],
        status=body["status"],
        paid=body["payment_status"] == "paid",
        customer=ident(body["customer"]),
        account_ref=body["client_reference_id"],
        metadata=dict(body["metadata"] or {}),
        total_minor=int(body["amount_total"] or 0),
        tax_minor=int((body["total_details"] or {}).get("amount_tax") or 0),
        currency=body["currency"],
        expires_at=instant(body["expires_at"]),
        price_id=ident(lines[0]["price"]) if len(lines) == 1 else None,
        quantity=int(lines[0]["quantity"]) if len(lines) == 1 else 1,
        subscription_id=ident(body["subscription"]),
        invoice_id=ident(body["invoice"]),
        intent=intent_of(intent) if isinstance(intent, Mapping) else None,
    )


def intent_of(body: Json) -> Intent:
    failure = body["last_payment_error"] or {}
    return Intent(
        id=body["id"],
        status=body["status"],
        received_minor=int(body["amount_received"]),
        currency=body["currency"],
        fee_minor=_fee_minor(body["latest_charge"]),
        failure=failure.get("decline_code") or failure.get("code"),
        customer=ident(body["customer"]),
        amount_minor=int(body["amount"]),
        attempt_id=(body["metadata"] or {}).get("attempt_id"),
        card=card_of(failure.get("payment_method")),
    )


def card_of(method: Any) -> Card | None:
    """The card of a way to pay that is one."""
    card = method.get("card") if isinstance(method, Mapping) else None
    return Card(str(card["brand"]), str(card["last4"])) if card else None


def _fee_minor(charge: Any) -> int | None:
    """Stripe's fee in the payment's currency; the balance may be kept in another one."""
    movement = charge["balance_transaction"] if isinstance(charge, Mapping) else None
    if not isinstance(movement, Mapping):
        return None
    fee, settled, paid = int(movement["fee"]), int(movement["amount"]), int(charge["amount"])
    if movement["currency"] == charge["currency"] or settled == 0:
        return fee
    return -(-fee * paid // settled)


def subscription_of(body: Json) -> Subscription:
    item = _plan_item(body["items"]["data"])
    metadata = dict(body["metadata"] or {})
    return Subscription(
        id=body["id"],
        customer=cast("str", ident(body["customer"])),
        metadata=metadata,
        price_id=cast("str", ident(item["price"])),
        status=body["status"],
        period_start=instant(item["current_period_start"]),
        period_end=instant(item["current_period_end"]),
        cancel_at_period_end=bool(body["cancel_at_period_end"]) or body["cancel_at"] == item["current_period_end"],
        item_id=item["id"],
        quantity=int(item.get("quantity") or 1),
        trial_end=instant(body["trial_end"]) if body["trial_end"] else None,
        kept=Kept.of(metadata),
    )


def _plan_item(items: list[Json]) -> Json:
    """The item that is paid ahead; metered ones stand beside it."""
    licensed = [item for item in items if (item["price"].get("recurring") or {}).get("usage_type") != "metered"]
    return (licensed or items)[0]


def invoice_of(body: Json, intent: Intent | None) -> Invoice:
    parent = (body.get("parent") or {}).get("subscription_details") or {}
    return Invoice(
        id=body["id"],
        customer=cast("str", ident(body["customer"])),
        subscription_id=ident(parent.get("subscription")),
        metadata=dict(parent.get("metadata") or {}),
        status=body["status"],
        attempts=int(body["attempt_count"]),
        due_minor=int(body["amount_due"]),
        paid_minor=int(body["amount_paid"]),
        currency=body["currency"],
        lines=tuple(_line_of(line) for line in body["lines"]["data"]),
        intent=intent,
        number=body["number"],
        total_minor=int(body["total"]),
        tax_minor=sum(int(tax["amount"]) for tax in body.get("total_taxes") or ()),
        pdf_url=body["invoice_pdf"],
        page_url=body["hosted_invoice_url"],
        created_at=instant(body["created"]),
    )


def _line_of(line: Json) -> InvoiceLine:
    details = (line["parent"] or {}).get("subscription_item_details")
    priced = (line["pricing"] or {}).get("price_details") or {}
    return InvoiceLine(
        price_id=ident(priced.get("price")),
        amount_minor=int(line["amount"]),
        inside_minor=sum(int(tax["amount"]) for tax in line.get("taxes") or () if tax["tax_behavior"] == "inclusive"),
        period_start=instant(line["period"]["start"]),
        period_end=instant(line["period"]["end"]),
        quantity=int(line["quantity"] or 0),
        is_proration=details is None or bool(details["proration"]),
        description=line["description"] or "",
    )


def credit_note_of(body: Json) -> CreditNote:
    return CreditNote(
        id=body["id"],
        customer=cast("str", ident(body["customer"])),
        invoice_id=cast("str", ident(body["invoice"])),
        number=body["number"],
        status=body["status"],
        reason=body["reason"],
        currency=body["currency"],
        total_minor=int(body["total"]),
        pdf_url=body["pdf"],
        created_at=instant(body["created"]),
    )


def payment_method_of(body: Json) -> PaymentMethod:
    card = body.get("card") or {}
    return PaymentMethod(
        id=body["id"],
        kind=body["type"],
        brand=card.get("brand"),
        last4=card.get("last4"),
        exp_month=card.get("exp_month"),
        exp_year=card.get("exp_year"),
    )


def tax_id_of(body: Json) -> TaxId:
    verification = body.get("verification") or {}
    return TaxId(body["id"], body["type"], body["value"], body["country"], verification.get("status") or "unavailable")


def intent_id_of_invoice(body: Json) -> str | None:
    """The payment intent that paid, else the newest that tried."""
    payments = body["payments"]["data"]
    paid = [one for one in payments if one["status"] == "paid"] or payments[:1]
    return ident(paid[0]["payment"].get(_IN_PAYMENT)) if paid else None


def refund_of(body: Json) -> Refund:
    return Refund(body["id"], body["status"], int(body["amount"]), body["currency"])


def dispute_of(body: Json) -> Dispute:
    return Dispute(body["id"], body["status"], int(body["amount"]), body["currency"])


def event_of(body: Json) -> StripeEvent:
    """What is kept of an event. Work is ordered per customer, else per payment, else per object."""
    if body["object"] == "v2.core.event":
        return _thin_event(body)
    about = body["data"]["object"]
    if body["type"] == DETACHED:
        # The method no longer says whose it was; that customer is looked at again.
        about = {"id": (body["data"].get("previous_attributes") or {}).get("customer") or about["id"]}
    object_id = str(about.get("id") or body["id"])
    lease_key = ident(about.get("customer")) or ident(about.get(_IN_PAYMENT)) or object_id
    return StripeEvent(str(body["id"]), str(body["type"]), object_id, lease_key, instant(body["created"]))


def _thin_event(body: Json) -> StripeEvent:
    """An event that names no content; it is fetched by its own id."""
    event_id, created = str(body["id"]), datetime.fromisoformat(body["created"])
    return StripeEvent(event_id, str(body["type"]), event_id, event_id, created)
