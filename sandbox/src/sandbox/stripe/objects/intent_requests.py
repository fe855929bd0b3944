"""What callers may ask of payment intents: make one, confirm it with a saved method, cancel it."""

from sandbox.stripe.errors import NotDoneError, StripeError
from sandbox.stripe.objects.cards import SUCCEEDED
from sandbox.stripe.objects.intents import OPEN, attempt_payment, new_intent, outcome_of, refusal_of
from sandbox.stripe.objects.metadata import fresh, merged
from sandbox.stripe.objects.payment_methods import referenced_method
from sandbox.stripe.objects.session_items import LEAST_TOTALS_MINOR
from sandbox.stripe.parameters import (
    Choice,
    Currency,
    Fields,
    Flag,
    Integer,
    Kind,
    ListOf,
    Metadata,
    Text,
    Url,
    not_done,
)
from sandbox.stripe.routing import Params, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work

PATH = "/v1/payment_intents"
HOOKS = Fields({"inputs": Fields({"tax": Fields({"calculation": Text()}, required=("calculation",))})})
CONFIRMABLE: dict[str, Kind] = {
    "error_on_requires_action": Flag(),
    "hooks": HOOKS,
    "off_session": Flag(),
    "payment_method": Text(),
    "return_url": Url(),
    "setup_future_usage": Choice("off_session", "on_session"),
    **not_done(
        "capture_method confirmation_token excluded_payment_method_types mandate mandate_data payment_method_data "
        "payment_method_options radar_options receipt_email shipping use_stripe_sdk payment_details"
    ),
}
CREATABLE: dict[str, Kind] = {
    **CONFIRMABLE,
    "amount": Integer(minimum=1),
    "automatic_payment_methods": Fields(
        {"enabled": Flag(), "allow_redirects": Choice("always", "never")}, required=("enabled",)
    ),
    "confirm": Flag(),
    "currency": Currency(),
    "customer": Text(),
    "description": Text(max_length=1000),
    "metadata": Metadata(),
    "payment_method_types": ListOf(Choice("card", "us_bank_account")),
    **not_done(
        "amount_details application_fee_amount confirmation_method customer_account on_behalf_of "
        "payment_method_configuration statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
    ),
}
UPDATABLE: dict[str, Kind] = {
    "description": Text(max_length=1000),
    "metadata": Metadata(),
    **not_done(
        "amount amount_details application_fee_amount capture_method currency customer customer_account "
        "excluded_payment_method_types hooks payment_details payment_method payment_method_configuration "
        "payment_method_data payment_method_options payment_method_types receipt_email setup_future_usage shipping "
        "statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
    ),
}


def create_intent(work: Work, ident: str, params: Params) -> Json:
    if "customer" in params:
        work.referenced("customer", params["customer"], param="customer")
    least = LEAST_TOTALS_MINOR.get(params["currency"], 0)
    if params["amount"] < least:
        message = f"Amount must be at least {least} {params['currency']} (minor units)."
        raise StripeError(message, code="amount_too_small", param="amount")
    if params.get("off_session") and not params.get("confirm"):
        raise StripeError("You can only set `off_session` when `confirm` is true.", param="off_session")
    hooks = _hooks(work, params)
    method = _method(work, params, customer_id=params.get("customer"))
    intent = new_intent(
        work,
        amount_minor=params["amount"],
        currency=params["currency"],
        customer_id=params.get("customer"),
        description=params.get("description"),
        metadata=fresh(params.get("metadata")),
        payment_method=method and method["id"],
        setup_future_usage=params.get("setup_future_usage"),
        **hooks,
    )
    return _confirmed(work, intent, params) if params.get("confirm") else intent


def _hooks(work: Work, params: Params) -> Json:
    """The calculation whose taxes the payment carries; it must be about the same amount."""
    ident = params.get("hooks", {}).get("inputs", {}).get("tax", {}).get("calculation")
    if ident is None:
        return {}
    found = work.referenced("tax.calculation", ident, param="hooks[inputs][tax][calculation]")
    if (found["amount_total"], found["currency"]) != (params["amount"], params["currency"]):
        message = "The amount and currency of the PaymentIntent must be those of the tax calculation."
        raise StripeError(message, param="hooks[inputs][tax][calculation]")
    if found["expires_at"] <= work.now:
        raise StripeError("The tax calculation has expired.", param="hooks[inputs][tax][calculation]")
    return {"hooks": {"inputs": {"tax": {"calculation": ident}}}}


def _method(work: Work, params: Params, *, customer_id: str | None) -> Json | None:
    if "payment_method" not in params:
        return None
    method = referenced_method(work, params["payment_method"])
    if method["customer"] and method["customer"] != customer_id:
        message = f"The PaymentMethod ({method['id']}) belongs to another Customer than the one supplied."
        raise StripeError(message, param="payment_method")
    if method.get("_detached"):
        message = "This PaymentMethod was detached from a Customer and may not be used again."
        raise StripeError(message, code="payment_method_unexpected_state", param="payment_method")
    return method


def confirm_intent(work: Work, ident: str, params: Params) -> Json:
    intent = work.get("payment_intent", ident)
    if intent["status"] not in OPEN:
        message = f"This PaymentIntent is {intent['status']} and cannot be confirmed."
        raise StripeError(message, code="payment_intent_unexpected_state")
    if "hooks" in params:
        raise NotDoneError("changing `hooks` of a payment intent", param="hooks")
    method = _method(work, params, customer_id=intent["customer"])
    changes = {"payment_method": method["id"]} if method else {}
    if "setup_future_usage" in params:
        changes["setup_future_usage"] = params["setup_future_usage"]
    work.change(intent, None, **changes)
    return _confirmed(work, intent, params)


def _confirmed(work: Work, intent: Json, params: Params) -> Json:
    if intent["payment_method"] is None:
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise StripeError(message, code="payment_intent_unexpected_state")
    method = work.get("payment_method", intent["payment_method"])
    outcome = outcome_of(method, off_session=params.get("off_session", False))
    if outcome == "requires_action" and params.get("error_on_requires_action"):
        outcome = str(method["_charge"])
    attempt_payment(work, intent, method=method, outcome=outcome, email=None)
    if intent["last_payment_error"] and outcome != SUCCEEDED and intent["status"] == "requires_payment_method":
        raise refusal_of(intent)
    return intent


def update_intent(work: Work, ident: str, params: Params) -> Json:
    intent = work.get("payment_intent", ident)
    changes: Params = {name: params[name] for name in ("description",) if name in params}
    if "metadata" in params:
        changes["metadata"] = merged(intent["metadata"], params["metadata"])
    return work.change(intent, None, **changes)


def cancel_intent(work: Work, ident: str, params: Params) -> Json:
    intent = work.get("payment_intent", ident)
    if intent["status"] not in OPEN:
        message = f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}."
        raise StripeError(message, code="payment_intent_unexpected_state")
    told = {"canceled_at": work.now, "cancellation_reason": params.get("cancellation_reason"), "next_action": None}
    work.change(intent, None, status="canceled", **told)
    work.emit("payment_intent.canceled", intent)
    return intent


ROUTES = (
    create(PATH, create_intent, CREATABLE, required=("amount", "currency")),
    listing(PATH, "payment_intent", {"customer": Text(), **not_done("customer_account")}),
    create(f"{PATH}/{{id}}/confirm", confirm_intent, CONFIRMABLE),
    create(
        f"{PATH}/{{id}}/cancel",
        cancel_intent,
        {"cancellation_reason": Choice("abandoned", "duplicate", "fraudulent", "requested_by_customer")},
    ),
    retrieve(PATH, "payment_intent"),
    create(f"{PATH}/{{id}}", update_intent, UPDATABLE),
)
