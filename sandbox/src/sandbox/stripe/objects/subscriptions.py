"""Subscriptions: their periods live on their items, and every change of state is announced."""

from sandbox.stripe.errors import MissingError, StripeError
from sandbox.stripe.objects.invoices import collect_invoice, new_invoice, stop_collecting
from sandbox.stripe.objects.metadata import fresh, merged
from sandbox.stripe.parameters import EXPAND, Choice, Fields, Flag, Kind, Metadata, Only, Text, not_done
from sandbox.stripe.periods import boundary
from sandbox.stripe.routing import Params, Route, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id, visible

PATH = "/v1/subscriptions"
ENDED = ("canceled", "incomplete_expired")
LIVING = ["active", "incomplete", "past_due", "paused", "trialing", "unpaid"]
REASONS = (
    "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex",
    "too_expensive", "unused",
)  # fmt: skip
CANCELLATION = Fields({"comment": Text(clearable=True), "feedback": Choice(*REASONS), **not_done("feedback_option")})
UPDATABLE: dict[str, Kind] = {
    "cancel_at_period_end": Flag(),
    "cancellation_details": CANCELLATION,
    "description": Text(max_length=500, clearable=True),
    "metadata": Metadata(),
    **not_done(
        "add_invoice_items application_fee_percent automatic_tax billing_cycle_anchor billing_schedules "
        "billing_thresholds cancel_at collection_method days_until_due default_payment_method default_source "
        "default_tax_rates discounts invoice_settings items off_session on_behalf_of pause_collection payment_behavior "
        "payment_settings pending_invoice_item_interval proration_behavior proration_date transfer_data trial_end "
        "trial_from_plan trial_settings"
    ),
}
CANCELLABLE: dict[str, Kind] = {
    "cancellation_details": CANCELLATION,
    "invoice_now": Only(Flag(), False),
    "prorate": Only(Flag(), False),
}
FILTERS: dict[str, Kind] = {
    "customer": Text(),
    "status": Choice("all", "ended", "canceled", "incomplete_expired", *LIVING),
    **not_done(
        "automatic_tax collection_method current_period_end current_period_start customer_account price test_clock"
    ),
}
BLANK: Json = {
    "object": "subscription",
    "application": None,
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor_config": None,
    "billing_mode": {"flexible": None, "type": "flexible"},
    "billing_schedules": [],
    "billing_thresholds": None,
    "cancel_at": None,
    "cancel_at_period_end": False,
    "canceled_at": None,
    "cancellation_details": {"comment": None, "feedback": None, "feedback_option": None, "reason": None},
    "collection_method": "charge_automatically",
    "customer_account": None,
    "days_until_due": None,
    "default_payment_method": None,
    "default_source": None,
    "default_tax_rates": [],
    "discounts": [],
    "ended_at": None,
    "invoice_settings": {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "issuer": {"type": "self"},
    },
    "latest_invoice": None,
    "livemode": False,
    "next_pending_invoice_item_invoice": None,
    "on_behalf_of": None,
    "pause_collection": None,
    "payment_settings": {
        "payment_method_options": None,
        "payment_method_types": None,
        "save_default_payment_method": "off",
    },
    "pending_invoice_item_interval": None,
    "pending_setup_intent": None,
    "pending_update": None,
    "schedule": None,
    "status": "incomplete",
    "test_clock": None,
    "transfer_data": None,
    "trial_end": None,
    "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    "trial_start": None,
}


def begin_subscription(
    work: Work, *, customer_id: str, items: list[tuple[Json, int]], metadata: dict[str, str], description: str | None
) -> Json:
    """A subscription paid at once: first incomplete, then, its first invoice paid, active."""
    ident = new_id("sub")
    entries = [_item(work, price, quantity, subscription_id=ident) for price, quantity in items]
    subscription = work.insert(
        {
            **BLANK,
            "id": ident,
            "billing_cycle_anchor": work.now,
            "created": work.now,
            "currency": items[0][0]["currency"],
            "customer": customer_id,
            "description": description,
            "items": {
                "object": "list",
                "data": entries,
                "has_more": False,
                "url": f"/v1/subscription_items?subscription={ident}",
            },
            "metadata": fresh(metadata),
            "start_date": work.now,
            "_period": 0,
        }
    )
    work.emit("customer.subscription.created", subscription)
    invoice = new_invoice(work, subscription, reason="subscription_create", covered=(work.now, work.now))
    collect_invoice(work, invoice, succeeds=True)
    return work.change(subscription, "customer.subscription.updated", status="active", latest_invoice=invoice["id"])


def _item(work: Work, price: Json, quantity: int, *, subscription_id: str) -> Json:
    return {
        "id": new_id("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": work.now,
        "current_period_end": _boundary(price, anchor=work.now, index=1),
        "current_period_start": work.now,
        "discounts": [],
        "metadata": {},
        "plan": _plan(price),
        "price": visible(price),
        "quantity": quantity,
        "subscription": subscription_id,
        "tax_rates": [],
    }


def _boundary(price: Json, *, anchor: int, index: int) -> int:
    recurring = price["recurring"]
    interval, count = recurring["interval"], recurring["interval_count"]
    return boundary(anchor, interval=interval, interval_count=count, index=index)


def _plan(price: Json) -> Json:
    """The old name of a price, which Stripe still shows beside it."""
    same = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product")
    recurring = ("interval", "interval_count", "meter", "trial_period_days", "usage_type")
    return {
        **{name: price[name] for name in same},
        **{name: price["recurring"][name] for name in recurring},
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "tiers_mode": None,
        "transform_usage": None,
    }


def renew_subscription(work: Work, subscription: Json, *, succeeds: bool) -> Json:
    """The period ends: it ends for good if that was asked for, else the next one is invoiced and collected."""
    if subscription["status"] in ENDED:
        raise StripeError(f"Subscription {subscription['id']} is {subscription['status']} and cannot be renewed.")
    if subscription["cancel_at_period_end"]:
        return end_subscription(work, subscription)
    first = subscription["items"]["data"][0]
    covered = (first["current_period_start"], first["current_period_end"])
    _advance(work, subscription)
    invoice = new_invoice(work, subscription, reason="subscription_cycle", covered=covered)
    work.change(subscription, None, latest_invoice=invoice["id"])
    return collect_for_subscription(work, subscription, invoice, succeeds=succeeds)


def _advance(work: Work, subscription: Json) -> None:
    period = subscription["_period"] + 1
    anchor = subscription["billing_cycle_anchor"]
    entries = [
        {
            **item,
            "current_period_start": item["current_period_end"],
            "current_period_end": _boundary(item["price"], anchor=anchor, index=period + 1),
        }
        for item in subscription["items"]["data"]
    ]
    items = {**subscription["items"], "data": entries}
    work.change(subscription, "customer.subscription.updated", items=items, _period=period)


def collect_for_subscription(work: Work, subscription: Json, invoice: Json, *, succeeds: bool) -> Json:
    """One try at an invoice, and what it makes of the subscription."""
    collect_invoice(work, invoice, succeeds=succeeds)
    if subscription["status"] in ENDED:
        return subscription
    status = "active" if succeeds else "past_due"
    return work.change(subscription, "customer.subscription.updated", status=status)


def end_subscription(work: Work, subscription: Json, *, reason: str | None = None, told: Json | None = None) -> Json:
    details = {**subscription["cancellation_details"], **(told or {})}
    details["reason"] = reason or details["reason"]
    canceled_at = subscription["canceled_at"] or work.now
    changes = {"status": "canceled", "canceled_at": canceled_at, "ended_at": work.now, "cancellation_details": details}
    work.change(subscription, None, **changes)
    work.emit("customer.subscription.deleted", subscription)
    stop_collecting(work, subscription)
    return subscription


def update_subscription(work: Work, ident: str, params: Params) -> Json:
    subscription = work.get("subscription", ident)
    if subscription["status"] in ENDED and set(params) - {"metadata", "cancellation_details", "expand"}:
        raise StripeError("A canceled subscription can only update its cancellation_details and metadata.")
    changes = {"description": params["description"]} if "description" in params else {}
    changes |= _cancellation(work, subscription, params)
    if "metadata" in params:
        changes["metadata"] = merged(subscription["metadata"], params["metadata"])
    return work.change(subscription, "customer.subscription.updated", **changes)


def _cancellation(work: Work, subscription: Json, params: Params) -> Params:
    details = {**subscription["cancellation_details"], **params.get("cancellation_details", {})}
    wanted = params.get("cancel_at_period_end", subscription["cancel_at_period_end"])
    if wanted == subscription["cancel_at_period_end"]:
        return {"cancellation_details": details}
    ends_at = min(item["current_period_end"] for item in subscription["items"]["data"])
    return {
        "cancel_at_period_end": wanted,
        "cancel_at": ends_at if wanted else None,
        "canceled_at": work.now if wanted else None,
        "cancellation_details": {**details, "reason": "cancellation_requested" if wanted else None},
    }


def cancel_subscription(work: Work, ident: str, params: Params) -> Json:
    subscription = work.get("subscription", ident)
    if subscription["status"] in ENDED:
        raise MissingError("subscription", ident)
    told = params.get("cancellation_details")
    return end_subscription(work, subscription, reason="cancellation_requested", told=told)


def _status_filter(params: Params) -> Params:
    wanted = params.get("status", "")
    choices = {"": LIVING, "all": [*LIVING, *ENDED], "ended": list(ENDED)}
    return {**params, "status": choices.get(wanted, [wanted])}


LIST = listing(PATH, "subscription", FILTERS)


def list_subscriptions(work: Work, ident: str, params: Params) -> Json:
    """Those that ended are left out unless they are asked for."""
    return LIST.handler(work, ident, _status_filter(params))


ROUTES = (
    Route("GET", PATH, list_subscriptions, LIST.fields),
    retrieve(PATH, "subscription"),
    create(f"{PATH}/{{id}}", update_subscription, UPDATABLE),
    Route("DELETE", f"{PATH}/{{id}}", cancel_subscription, Fields({**CANCELLABLE, **EXPAND})),
)
