"""`create_preview`: the invoice that a subscription's next period, or a change of it, would bring. Nothing is kept."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.cycles import cycle_lines
from sandbox.stripe.objects.invoice_form import BLANK_INVOICE, proration_line
from sandbox.stripe.objects.invoice_items import line_of_item, take_pending, taxed
from sandbox.stripe.objects.invoices import parent_of, told_of
from sandbox.stripe.objects.proration import prorations
from sandbox.stripe.objects.subscription_form import ITEM_CHANGE, PRORATION
from sandbox.stripe.objects.subscription_items import changed_items, period_end
from sandbox.stripe.parameters import AUTOMATIC_TAX, Choice, Fields, Integer, Kind, ListOf, Text, not_done
from sandbox.stripe.routing import Params
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

DETAILS = Fields(
    {
        "items": ListOf(Fields(ITEM_CHANGE), max_items=20),
        "proration_behavior": PRORATION,
        "proration_date": Integer(),
        **not_done(
            "billing_cycle_anchor billing_mode billing_schedules cancel_at cancel_at_period_end cancel_now "
            "default_tax_rates metadata resume_at start_date trial_end"
        ),
    }
)
PREVIEW: dict[str, Kind] = {
    "automatic_tax": AUTOMATIC_TAX,
    "customer": Text(),
    "preview_mode": Choice("next", not_done=("recurring",)),
    "subscription": Text(),
    "subscription_details": DETAILS,
    **not_done(
        "currency customer_account customer_details discounts invoice_items issuer on_behalf_of schedule "
        "schedule_details"
    ),
}


def preview_invoice(work: Work, ident: str, params: Params) -> Json:
    subscription = _subscription(work, params)
    customer = work.get("customer", subscription["customer"])
    details = params.get("subscription_details", {})
    before = subscription["items"]["data"]
    after = changed_items(work, subscription, details["items"]) if "items" in details else before
    billed_now = details.get("proration_behavior") == "always_invoice"
    lines = _pending(work, subscription) + _parts(work, subscription, details, after=after)
    if _interval(before) != _interval(after):
        lines += _restarted(work, subscription, after)
        billed_now = True
    elif not billed_now and not subscription["cancel_at_period_end"]:
        lines += _next_period(work, subscription, after)
    told = params.get("automatic_tax") or subscription["automatic_tax"]
    return _preview(work, customer, subscription, lines=lines, billed_now=billed_now, is_taxed=bool(told["enabled"]))


def _subscription(work: Work, params: Params) -> Json:
    if "subscription" not in params:
        raise StripeError("Missing required param: subscription.", code="parameter_missing", param="subscription")
    subscription = work.referenced("subscription", params["subscription"], param="subscription")
    if params.get("customer", subscription["customer"]) != subscription["customer"]:
        raise StripeError("The subscription does not belong to this customer.", param="customer")
    if subscription["status"] in {"canceled", "incomplete_expired"}:
        raise StripeError("No upcoming invoices for customer", code="invoice_upcoming_none")
    return subscription


def _pending(work: Work, subscription: Json) -> list[Json]:
    waiting = take_pending(
        work, customer_id=subscription["customer"], subscription_id=subscription["id"], invoice_id=None
    )
    return [line_of_item(item, invoice_id=None) for item in waiting]


def _parts(work: Work, subscription: Json, details: Json, *, after: list[Json]) -> list[Json]:
    before = subscription["items"]["data"]
    if details.get("proration_behavior") == "none" or subscription["status"] == "trialing" or before is after:
        return []
    since = int(details.get("proration_date", work.now))
    kept = [] if _interval(before) != _interval(after) else after
    return [proration_line(part, subscription) for part in prorations(work, before, kept, since=since)]


def _interval(items: list[Json]) -> tuple[str, int]:
    recurring = items[0]["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _restarted(work: Work, subscription: Json, after: list[Json]) -> list[Json]:
    entries = [
        {
            **item,
            "current_period_start": work.now,
            "current_period_end": period_end(item["price"], anchor=work.now, index=1),
        }
        for item in after
    ]
    return cycle_lines(work, {**subscription, "items": {"data": entries}}, closed=None)


def _next_period(work: Work, subscription: Json, after: list[Json]) -> list[Json]:
    anchor, index = subscription["billing_cycle_anchor"], subscription["_period"] + 2
    entries = [
        {
            **item,
            "current_period_start": item["current_period_end"],
            "current_period_end": period_end(item["price"], anchor=anchor, index=index),
        }
        for item in after
    ]
    closed = (after[0]["current_period_start"], after[0]["current_period_end"])
    return cycle_lines(work, {**subscription, "items": {"data": entries}}, closed=closed)


def _preview(
    work: Work, customer: Json, subscription: Json, *, lines: list[Json], billed_now: bool, is_taxed: bool
) -> Json:
    ident = new_id("upcoming_in")
    first = subscription["items"]["data"][0]
    asked_at = work.now if billed_now else first["current_period_end"]
    preview = {
        **BLANK_INVOICE,
        **taxed(work, customer, lines, is_taxed=is_taxed),
        **told_of(customer),
        "id": ident,
        "billing_reason": "upcoming",
        "created": asked_at,
        "currency": subscription["currency"],
        "lines": {"object": "list", "data": lines, "has_more": False, "url": f"/v1/invoices/{ident}/lines"},
        "next_payment_attempt": asked_at,
        "parent": parent_of(subscription),
        "period_end": asked_at,
        "period_start": first["current_period_start"],
        "starting_balance": customer["balance"],
    }
    due = max(0, preview["total"] + customer["balance"])
    return preview | {"amount_due": due, "amount_remaining": due}
