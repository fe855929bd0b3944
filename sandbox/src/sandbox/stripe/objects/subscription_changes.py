"""Changing a subscription: other items, an end, a pause, the end of a trial; and what that costs."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.cycles import ENDED, UPDATED, after_collection, cycle_lines, finish_cycle
from sandbox.stripe.objects.intents import refusal_of
from sandbox.stripe.objects.invoices import collect_invoice, finalise_invoice, new_invoice, payment_of
from sandbox.stripe.objects.metadata import merged
from sandbox.stripe.objects.payment_methods import referenced_method
from sandbox.stripe.objects.proration import keep_prorations, prorations
from sandbox.stripe.objects.subscription_form import BLANK
from sandbox.stripe.objects.subscription_items import changed_items, period_end
from sandbox.stripe.objects.tax_rates import ENABLED, check_located
from sandbox.stripe.routing import Params
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work

ALWAYS_ALLOWED = {"metadata", "cancellation_details", "expand"}


def update_subscription(work: Work, ident: str, params: Params) -> Json:
    subscription = work.get("subscription", ident)
    if subscription["status"] in ENDED and set(params) - ALWAYS_ALLOWED:
        raise StripeError("A canceled subscription can only update its cancellation_details and metadata.")
    work.change(subscription, UPDATED, **_plain(work, subscription, params))
    if {"items", "trial_end", "billing_cycle_anchor"} & set(params):
        _change_what_is_paid(work, subscription, params)
    return work.get("subscription", ident)


def _plain(work: Work, subscription: Json, params: Params) -> Params:
    changes: Params = {name: params[name] for name in ("description", "trial_settings") if name in params}
    if "automatic_tax" in params:
        changes["automatic_tax"] = _automatic_tax(work, subscription, wanted=params["automatic_tax"]["enabled"])
    if "metadata" in params:
        changes["metadata"] = merged(subscription["metadata"], params["metadata"])
    if "pause_collection" in params:
        pause = params["pause_collection"]
        changes["pause_collection"] = pause and {"resumes_at": None, **pause}
    if "default_payment_method" in params:
        method = referenced_method(work, params["default_payment_method"], param="default_payment_method")
        if method["customer"] != subscription["customer"]:
            message = "The customer does not have a payment method with that ID; attach it first."
            raise StripeError(message, code="resource_missing", param="default_payment_method")
        changes["default_payment_method"] = method["id"]
    return changes | _ending(work, subscription, params)


def _automatic_tax(work: Work, subscription: Json, *, wanted: bool) -> Json:
    if not wanted:
        return dict(BLANK["automatic_tax"])
    check_located(work, work.get("customer", subscription["customer"]))
    return ENABLED


def _ending(work: Work, subscription: Json, params: Params) -> Params:
    details = {**subscription["cancellation_details"], **params.get("cancellation_details", {})}
    if "cancel_at" in params and "cancel_at_period_end" in params:
        raise StripeError("You may only specify one of cancel_at and cancel_at_period_end.", param="cancel_at")
    if "cancel_at" in params:
        ends_at = params["cancel_at"]
        if ends_at is not None and ends_at <= work.now:
            raise StripeError("The cancel_at must be in the future.", param="cancel_at")
        return _end_at(work, details, ends_at=ends_at, at_period_end=False)
    wanted = bool(params.get("cancel_at_period_end", subscription["cancel_at_period_end"]))
    if wanted == subscription["cancel_at_period_end"]:
        return {"cancellation_details": details}
    ends_at = min(item["current_period_end"] for item in subscription["items"]["data"])
    return _end_at(work, details, ends_at=ends_at if wanted else None, at_period_end=wanted)


def _end_at(work: Work, details: Json, *, ends_at: int | None, at_period_end: bool) -> Params:
    asked = ends_at is not None
    return {
        "cancel_at_period_end": at_period_end,
        "cancel_at": ends_at,
        "canceled_at": work.now if asked else None,
        "cancellation_details": {**details, "reason": "cancellation_requested" if asked else None},
    }


def _change_what_is_paid(work: Work, subscription: Json, params: Params) -> None:
    before = subscription["items"]["data"]
    after = changed_items(work, subscription, params["items"]) if "items" in params else before
    since = _since(work, before, params)
    ends_trial = subscription["status"] == "trialing" and params.get("trial_end") == "now"
    if subscription["status"] == "trialing" and not ends_trial:
        _keep_trial(work, subscription, after, params)
        return
    behaviour = params.get("proration_behavior", "create_prorations")
    parts = [] if behaviour == "none" or ends_trial else prorations(work, before, after, since=since)
    restarts = ends_trial or _interval(before) != _interval(after) or params.get("billing_cycle_anchor") == "now"
    if restarts:
        _restart(work, subscription, params, before=before, after=after)
        return
    work.change(subscription, UPDATED, items={**subscription["items"], "data": after})
    keep_prorations(work, subscription, parts)
    if behaviour == "always_invoice" and parts:
        _bill_now(work, subscription, params, lines=[])


def _since(work: Work, items: list[Json], params: Params) -> int:
    since = int(params.get("proration_date", work.now))
    if not items[0]["current_period_start"] <= since <= items[0]["current_period_end"]:
        message = "Invalid value for proration_date: must be within the current billing period."
        raise StripeError(message, param="proration_date")
    return since


def _interval(items: list[Json]) -> tuple[str, int]:
    recurring = items[0]["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _keep_trial(work: Work, subscription: Json, after: list[Json], params: Params) -> None:
    """Nothing is paid during a trial, so a change in it costs nothing; its end may be moved."""
    ends_at = params.get("trial_end") or subscription["trial_end"]
    if ends_at <= work.now:
        raise StripeError("The trial_end must be in the future.", param="trial_end")
    entries = [{**item, "current_period_end": ends_at} for item in after]
    changes = {"items": {**subscription["items"], "data": entries}, "trial_end": ends_at}
    work.change(subscription, UPDATED, **changes, billing_cycle_anchor=ends_at)


def _restart(work: Work, subscription: Json, params: Params, *, before: list[Json], after: list[Json]) -> None:
    """A new period from now on, billed at once, with what is unused of the old one given back."""
    if params.get("proration_behavior") != "none" and subscription["status"] != "trialing":
        keep_prorations(work, subscription, prorations(work, before, [], since=work.now))
    entries = [
        {
            **item,
            "current_period_start": work.now,
            "current_period_end": period_end(item["price"], anchor=work.now, index=1),
        }
        for item in after
    ]
    closed = (before[0]["current_period_start"], work.now)
    changes = {"items": {**subscription["items"], "data": entries}, "billing_cycle_anchor": work.now, "_period": 0}
    if subscription["status"] == "trialing":
        changes |= {"status": "active", "trial_end": work.now}
    work.change(subscription, UPDATED, **changes)
    _bill_now(work, subscription, params, lines=cycle_lines(work, subscription, closed=closed))


def _bill_now(work: Work, subscription: Json, params: Params, *, lines: list[Json]) -> None:
    customer = work.get("customer", subscription["customer"])
    invoice = new_invoice(work, customer, subscription=subscription, reason="subscription_update", lines=lines)
    work.change(subscription, None, latest_invoice=invoice["id"])
    if params.get("payment_behavior") != "error_if_incomplete":
        finish_cycle(work, invoice)
        return
    finalise_invoice(work, invoice)
    if invoice["status"] == "open" and collect_invoice(work, invoice) != "succeeded":
        refusal = refusal_of(payment_of(work, invoice)[1])
        refusal.keeps_work = False
        raise refusal
    after_collection(work, invoice)
