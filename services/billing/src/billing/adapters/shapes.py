"""Stripe's JSON read into our own states; what does not have the promised shape is refused."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

from billing.domain.states import (
    CheckoutSession,
    Dispute,
    Intent,
    Invoice,
    InvoiceLine,
    Refund,
    StripeEvent,
    Subscription,
)
from billing.errors import StripeShapeError

Json = Mapping[str, Any]
T = TypeVar("T")

_IN_PAYMENT: Final = "payment_intent"


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
    lines = body.get("line_items", {}).get("data", [])
    return CheckoutSession(
        id=body["id"],
        url=body["url"],
        mode=body["mode"],
        status=body["status"],
        paid=body["payment_status"] == "paid",
        customer=ident(body["customer"]),
        account_ref=body["client_reference_id"],
        metadata=dict(body["metadata"] or {}),
        total_minor=int(body["amount_total"]),
        currency=body["currency"],
        expires_at=instant(body["expires_at"]),
        price_id=ident(lines[0]["price"]) if len(lines) == 1 else None,
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
    )


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
    item = body["items"]["data"][0]
    return Subscription(
        id=body["id"],
        customer=cast("str", ident(body["customer"])),
        metadata=dict(body["metadata"] or {}),
        price_id=cast("str", ident(item["price"])),
        status=body["status"],
        period_start=instant(item["current_period_start"]),
        period_end=instant(item["current_period_end"]),
        cancel_at_period_end=bool(body["cancel_at_period_end"]) or body["cancel_at"] == item["current_period_end"],
    )


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
        line=_line_of(body["lines"]["data"]),
        intent=intent,
    )


def _line_of(lines: list[Json]) -> InvoiceLine | None:
    """The one line that pays for a whole period; none when there are only prorations."""
    whole = [line for line in lines if not _is_proration(line)]
    if len(whole) != 1:
        return None
    line = whole[0]
    return InvoiceLine(
        price_id=cast("str", ident(line["pricing"]["price_details"]["price"])),
        amount_minor=int(line["amount"]),
        period_start=instant(line["period"]["start"]),
        period_end=instant(line["period"]["end"]),
    )


def _is_proration(line: Json) -> bool:
    details = (line["parent"] or {}).get("subscription_item_details")
    return details is None or bool(details["proration"])


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
    about = body["data"]["object"]
    object_id = str(about.get("id") or body["id"])
    lease_key = ident(about.get("customer")) or ident(about.get(_IN_PAYMENT)) or object_id
    return StripeEvent(str(body["id"]), str(body["type"]), object_id, lease_key, instant(body["created"]))
