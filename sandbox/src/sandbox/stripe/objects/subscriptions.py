"""Subscriptions: their periods live on their items, and every change of state is announced."""

from dataclasses import dataclass, field

from sandbox.stripe.errors import MissingError, StripeError
from sandbox.stripe.objects.cycles import (
    ENDED,
    UPDATED,
    after_collection,
    closing_invoice,
    cycle_lines,
    end_subscription,
    finish_cycle,
)
from sandbox.stripe.objects.intents import refusal_of
from sandbox.stripe.objects.invoices import collect_invoice, finalise_invoice, new_invoice, payment_of
from sandbox.stripe.objects.metadata import fresh
from sandbox.stripe.objects.payment_methods import find_chargeable, referenced_method
from sandbox.stripe.objects.proration import keep_prorations, prorations
from sandbox.stripe.objects.subscription_changes import update_subscription
from sandbox.stripe.objects.subscription_form import BLANK, CANCELLABLE, CREATABLE, RESUMABLE, UPDATABLE
from sandbox.stripe.objects.subscription_items import (
    check_quantity,
    check_together,
    checked_price,
    new_item,
    period_end,
)
from sandbox.stripe.objects.tax_rates import ENABLED, check_located
from sandbox.stripe.parameters import EXPAND, Choice, Fields, Kind, Text, not_done
from sandbox.stripe.routing import Params, Route, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/subscriptions"
LIVING = ["active", "incomplete", "past_due", "paused", "trialing", "unpaid"]
DAY_S = 24 * 3600
FILTERS: dict[str, Kind] = {
    "customer": Text(),
    "status": Choice("all", "ended", "canceled", "incomplete_expired", *LIVING),
    "test_clock": Text(),
    **not_done("automatic_tax collection_method current_period_end current_period_start customer_account price"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new subscription is made of: prices with their quantities, and how it begins."""

    customer: Json
    items: list[tuple[Json, int | None]]
    metadata: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    method_id: str | None = None
    trial_end: int | None = None
    trial_settings: Json | None = None
    automatic_tax: bool = False


def begin_subscription(work: Work, wanted: Wanted) -> tuple[Json, Json]:
    """The subscription, still incomplete or on trial, and its first invoice, finalised."""
    ident = new_id("sub")
    on_trial = wanted.trial_end is not None
    anchor = wanted.trial_end or work.now
    entries = [
        new_item(
            work,
            price,
            quantity=quantity,
            subscription_id=ident,
            period=(work.now, wanted.trial_end or period_end(price, anchor=work.now, index=1)),
        )
        for price, quantity in wanted.items
    ]
    subscription = work.insert(
        {
            **BLANK,
            "id": ident,
            "automatic_tax": ENABLED if wanted.automatic_tax else BLANK["automatic_tax"],
            "billing_cycle_anchor": anchor,
            "created": work.now,
            "currency": wanted.items[0][0]["currency"],
            "customer": wanted.customer["id"],
            "default_payment_method": wanted.method_id,
            "description": wanted.description,
            "items": {
                "object": "list",
                "data": entries,
                "has_more": False,
                "url": f"/v1/subscription_items?subscription={ident}",
            },
            "metadata": fresh(wanted.metadata),
            "start_date": work.now,
            "status": "trialing" if on_trial else "incomplete",
            "test_clock": wanted.customer["test_clock"],
            "trial_end": wanted.trial_end,
            "trial_settings": wanted.trial_settings or BLANK["trial_settings"],
            "trial_start": work.now if on_trial else None,
            "_period": -1 if on_trial else 0,
        }
    )
    work.change(wanted.customer, None, currency=subscription["currency"])
    work.emit("customer.subscription.created", subscription)
    invoice = new_invoice(
        work,
        wanted.customer,
        subscription=subscription,
        reason="subscription_create",
        lines=cycle_lines(work, subscription, closed=None, is_free=on_trial),
    )
    finalise_invoice(work, invoice)
    work.change(subscription, None, latest_invoice=invoice["id"])
    after_collection(work, invoice)
    return work.get("subscription", ident), invoice


def create_subscription(work: Work, ident: str, params: Params) -> Json:
    customer = work.referenced("customer", params["customer"], param="customer")
    is_taxed = params.get("automatic_tax", {}).get("enabled", False)
    if is_taxed:
        check_located(work, customer)
    wanted = Wanted(
        customer=customer,
        items=_items(work, params.get("items", [])),
        metadata=params.get("metadata") or {},
        description=params.get("description"),
        method_id=_method_id(work, customer, params),
        trial_end=_trial_end(work, params),
        trial_settings=params.get("trial_settings"),
        automatic_tax=is_taxed,
    )
    subscription, invoice = begin_subscription(work, wanted)
    ends: Params = {name: params[name] for name in ("cancel_at_period_end", "cancel_at") if name in params}
    if ends:
        subscription = update_subscription(work, subscription["id"], ends)
    if invoice["status"] != "open" or params.get("payment_behavior") == "default_incomplete":
        return work.get("subscription", subscription["id"])
    _pay_first(work, wanted, invoice, params)
    return work.get("subscription", subscription["id"])


def _items(work: Work, entries: list[Json]) -> list[tuple[Json, int | None]]:
    if not entries:
        raise StripeError("Missing required param: items.", code="parameter_missing", param="items")
    found: list[tuple[Json, int | None]] = []
    for index, entry in enumerate(entries):
        price = checked_price(work, entry["price"], name=f"items[{index}]")
        check_quantity(price, entry.get("quantity"), name=f"items[{index}]")
        found.append((price, entry.get("quantity")))
    check_together([price for price, _ in found])
    return found


def _method_id(work: Work, customer: Json, params: Params) -> str | None:
    if params.get("default_payment_method") is None:
        return None
    method = referenced_method(work, params["default_payment_method"], param="default_payment_method")
    if method["customer"] != customer["id"]:
        message = "The customer does not have a payment method with that ID; attach it first."
        raise StripeError(message, code="resource_missing", param="default_payment_method")
    return str(method["id"])


def _trial_end(work: Work, params: Params) -> int | None:
    if "trial_period_days" in params and "trial_end" in params:
        raise StripeError("You may only specify one of trial_end and trial_period_days.", param="trial_end")
    if "trial_period_days" in params:
        return work.now + int(params["trial_period_days"]) * DAY_S
    ends_at = params.get("trial_end")
    if ends_at is None or ends_at == "now":
        return None
    if ends_at <= work.now:
        raise StripeError("The trial_end must be in the future.", param="trial_end")
    return int(ends_at)


def _pay_first(work: Work, wanted: Wanted, invoice: Json, params: Params) -> None:
    method = find_chargeable(work, wanted.customer, preferred=wanted.method_id)
    if method is None:
        message = "This customer has no attached payment source or default payment method."
        raise StripeError(message, code="resource_missing")
    ended = collect_invoice(work, invoice, method=method, off_session=params.get("off_session", False))
    after_collection(work, invoice)
    if params.get("payment_behavior") == "error_if_incomplete" and ended not in {"succeeded", "processing"}:
        refusal = refusal_of(payment_of(work, invoice)[1])
        refusal.keeps_work = False
        raise refusal


def cancel_subscription(work: Work, ident: str, params: Params) -> Json:
    subscription = work.get("subscription", ident)
    if subscription["status"] in ENDED:
        raise MissingError("subscription", ident)
    items = subscription["items"]["data"]
    if params.get("prorate") and subscription["status"] == "active":
        keep_prorations(work, subscription, prorations(work, items, [], since=work.now))
    told = params.get("cancellation_details")
    end_subscription(work, subscription, reason="cancellation_requested", told=told)
    if params.get("invoice_now"):
        invoice = closing_invoice(work, subscription, closed=(items[0]["current_period_start"], work.now))
        if invoice is not None:
            work.change(subscription, None, latest_invoice=invoice["id"])
            finish_cycle(work, invoice)
    return subscription


def resume_subscription(work: Work, ident: str, params: Params) -> Json:
    """Out of a trial that ended without a payment method: a first period from now, and its invoice."""
    subscription = work.get("subscription", ident)
    if subscription["status"] != "paused":
        raise StripeError(f"Only paused subscriptions can be resumed; this one is {subscription['status']}.")
    entries = [
        {
            **item,
            "current_period_start": work.now,
            "current_period_end": period_end(item["price"], anchor=work.now, index=1),
        }
        for item in subscription["items"]["data"]
    ]
    changes = {"items": {**subscription["items"], "data": entries}, "billing_cycle_anchor": work.now, "_period": 0}
    work.change(subscription, UPDATED, **changes, status="active")
    work.emit("customer.subscription.resumed", subscription)
    customer = work.get("customer", subscription["customer"])
    invoice = new_invoice(
        work,
        customer,
        subscription=subscription,
        reason="subscription_cycle",
        lines=cycle_lines(work, subscription, closed=None),
    )
    work.change(subscription, None, latest_invoice=invoice["id"])
    finish_cycle(work, invoice)
    return work.get("subscription", ident)


def _status_filter(params: Params) -> Params:
    wanted = params.get("status", "")
    choices = {"": LIVING, "all": [*LIVING, *ENDED], "ended": list(ENDED)}
    return {**params, "status": choices.get(wanted, [wanted])}


LIST = listing(PATH, "subscription", FILTERS)


def list_subscriptions(work: Work, ident: str, params: Params) -> Json:
    """Those that ended are left out unless they are asked for."""
    return LIST.handler(work, ident, _status_filter(params))


ROUTES = (
    create(PATH, create_subscription, CREATABLE, required=("customer", "items")),
    Route("GET", PATH, list_subscriptions, LIST.fields),
    retrieve(PATH, "subscription"),
    create(f"{PATH}/{{id}}", update_subscription, UPDATABLE),
    create(f"{PATH}/{{id}}/resume", resume_subscription, RESUMABLE),
    Route("DELETE", f"{PATH}/{{id}}", cancel_subscription, Fields({**CANCELLABLE, **EXPAND})),
)
