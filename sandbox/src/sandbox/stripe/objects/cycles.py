"""What time and payments make of a subscription: periods that follow each other, trials that end, dunning, the end."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.invoice_form import item_line
from sandbox.stripe.objects.invoice_items import take_pending
from sandbox.stripe.objects.invoices import (
    MOST_TRIES,
    collect_invoice,
    end_invoice,
    finalise_invoice,
    new_invoice,
    stop_collecting,
    subscription_of,
)
from sandbox.stripe.objects.payment_methods import find_chargeable
from sandbox.stripe.objects.subscription_items import is_metered, period_end
from sandbox.stripe.objects.usage import usage_of
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work

ENDED = ("canceled", "incomplete_expired")
UPDATED = "customer.subscription.updated"


def cycle_lines(work: Work, subscription: Json, *, closed: tuple[int, int] | None, is_free: bool = False) -> list[Json]:
    """What the present period costs in advance, and what was used in the one that closed."""
    lines = []
    for item in subscription["items"]["data"]:
        product = work.get("product", item["price"]["product"])["name"]
        period = (item["current_period_start"], item["current_period_end"])
        quantity = item.get("quantity", 0)
        if is_metered(item["price"]):
            quantity = _used(work, subscription, item, closed=closed)
            period = closed or period
        lines.append(
            item_line(item, subscription, quantity=quantity, period=period, product_name=product, is_free=is_free)
        )
    return lines


def _used(work: Work, subscription: Json, item: Json, *, closed: tuple[int, int] | None) -> int:
    if closed is None:
        return 0
    since = max(closed[0], item["created"] - item["created"] % 60)
    meter = item["price"]["recurring"]["meter"]
    return max(0, usage_of(work, meter, customer_id=subscription["customer"], start=since, end=closed[1]))


def renew_subscription(work: Work, subscription: Json) -> Json | None:
    """The period ends: for good if that was asked for, else the next one begins. Its invoice, a draft."""
    if subscription["status"] in ENDED:
        raise StripeError(f"Subscription {subscription['id']} is {subscription['status']} and cannot be renewed.")
    first = subscription["items"]["data"][0]
    closed = (first["current_period_start"], first["current_period_end"])
    if subscription["cancel_at_period_end"]:
        end_subscription(work, subscription)
        return closing_invoice(work, subscription, closed=closed)
    if subscription["status"] == "trialing" and not _goes_on_after_trial(work, subscription):
        return None
    _advance(work, subscription)
    customer = work.get("customer", subscription["customer"])
    is_held = (
        subscription["status"] == "unpaid"
        or (subscription["pause_collection"] or {}).get("behavior") == "keep_as_draft"
    )
    invoice = new_invoice(
        work,
        customer,
        subscription=subscription,
        reason="subscription_cycle",
        lines=cycle_lines(work, subscription, closed=closed),
        covered=closed,
        auto_advance=not is_held,
    )
    work.change(subscription, None, latest_invoice=invoice["id"])
    _as_paused(work, subscription, invoice)
    return invoice


def _as_paused(work: Work, subscription: Json, invoice: Json) -> None:
    behaviour = (subscription["pause_collection"] or {}).get("behavior")
    if behaviour in {"void", "mark_uncollectible"}:
        end_invoice(work, invoice, status="void" if behaviour == "void" else "uncollectible")


def _goes_on_after_trial(work: Work, subscription: Json) -> bool:
    """Without a method to charge, the trial's own setting decides."""
    customer = work.get("customer", subscription["customer"])
    if find_chargeable(work, customer, preferred=subscription["default_payment_method"]):
        return True
    match subscription["trial_settings"]["end_behavior"]["missing_payment_method"]:
        case "cancel":
            end_subscription(work, subscription)
            return False
        case "pause":
            work.change(subscription, UPDATED, status="paused")
            work.emit("customer.subscription.paused", subscription)
            return False
    return True


def closing_invoice(work: Work, subscription: Json, *, closed: tuple[int, int]) -> Json | None:
    """The last bill: usage and prorations that no invoice has carried yet; none when there is nothing."""
    lines = [
        line
        for line in cycle_lines(work, subscription, closed=closed)
        if line["period"] == {"start": closed[0], "end": closed[1]} and line["amount"] and _is_usage(line, subscription)
    ]
    waiting = take_pending(
        work, customer_id=subscription["customer"], subscription_id=subscription["id"], invoice_id=None
    )
    if not lines and not waiting:
        return None
    customer = work.get("customer", subscription["customer"])
    return new_invoice(
        work, customer, subscription=subscription, reason="subscription_cycle", lines=lines, covered=closed
    )


def _is_usage(line: Json, subscription: Json) -> bool:
    price_id = line["pricing"]["price_details"]["price"]
    return any(item["price"]["id"] == price_id and is_metered(item["price"]) for item in subscription["items"]["data"])


def _advance(work: Work, subscription: Json) -> None:
    period = subscription["_period"] + 1
    anchor = subscription["billing_cycle_anchor"]
    entries = [
        {
            **item,
            "current_period_start": item["current_period_end"],
            "current_period_end": period_end(item["price"], anchor=anchor, index=period + 1),
        }
        for item in subscription["items"]["data"]
    ]
    changes = {"items": {**subscription["items"], "data": entries}, "_period": period}
    if subscription["status"] == "trialing":
        changes["status"] = "active"
    work.change(subscription, UPDATED, **changes)


def finish_cycle(work: Work, invoice: Json, *, outcome: str | None = None) -> Json:
    """The grace is over: finalise the draft and collect it."""
    if invoice["status"] == "draft":
        finalise_invoice(work, invoice)
    if invoice["status"] == "open":
        method = None
        if outcome is not None:
            method = any_method(work, work.get("customer", invoice["customer"]))
        collect_invoice(work, invoice, method=method, outcome=outcome)
    return after_collection(work, invoice)


def any_method(work: Work, customer: Json) -> Json | None:
    """For controls that say how a payment ends whatever the customer has on file."""
    saved = work.list_all("payment_method", customer=customer["id"])
    return find_chargeable(work, customer) or next(iter(saved), None)


def after_collection(work: Work, invoice: Json) -> Json:
    """What a paid or failed invoice makes of its subscription."""
    subscription = subscription_of(work, invoice)
    if subscription is None or subscription["status"] in ENDED or invoice["status"] in {"draft", "void"}:
        return invoice
    if invoice["status"] == "paid":
        _paid(work, subscription, invoice)
    elif invoice["attempt_count"] > 0 and invoice["status"] == "open":
        _declined(work, subscription, invoice)
    return invoice


def _paid(work: Work, subscription: Json, invoice: Json) -> None:
    is_newest = subscription["latest_invoice"] in {None, invoice["id"]}
    if subscription["status"] == "incomplete" or (is_newest and subscription["status"] in {"past_due", "unpaid"}):
        work.change(subscription, UPDATED, status="active")


def _declined(work: Work, subscription: Json, invoice: Json) -> None:
    if (
        subscription["status"] == "active"
        and invoice["billing_reason"] != "manual"
        and not _is_on_its_way(work, invoice)
    ):
        work.change(subscription, UPDATED, status="past_due")
    if subscription["status"] == "past_due" and invoice["attempt_count"] >= MOST_TRIES:
        match work.switches.dunning_ends:
            case "cancel":
                end_subscription(work, subscription, reason="payment_failed")
            case "unpaid":
                work.change(subscription, UPDATED, status="unpaid")


def _is_on_its_way(work: Work, invoice: Json) -> bool:
    payments = work.list_all("invoice_payment", invoice=invoice["id"])
    intents = [work.get("payment_intent", payment["payment"]["payment_intent"]) for payment in payments]
    return any(intent["status"] == "processing" for intent in intents)


def end_subscription(work: Work, subscription: Json, *, reason: str | None = None, told: Json | None = None) -> Json:
    details = {**subscription["cancellation_details"], **(told or {})}
    details["reason"] = reason or details["reason"]
    canceled_at = subscription["canceled_at"] or work.now
    changes = {"status": "canceled", "canceled_at": canceled_at, "ended_at": work.now, "cancellation_details": details}
    work.change(subscription, None, **changes)
    work.emit("customer.subscription.deleted", subscription)
    stop_collecting(work, subscription)
    return subscription


def expire_incomplete(work: Work, subscription: Json) -> None:
    """Nobody paid the first invoice in time."""
    work.change(subscription, UPDATED, status="incomplete_expired", ended_at=work.now)
    for invoice in work.list_all("invoice", status="open"):
        if (subscription_of(work, invoice) or {}).get("id") == subscription["id"]:
            end_invoice(work, invoice, status="void")
