"""Payment intents: an amount that is to be taken, over one or more tries."""

from typing import Any

from sandbox.stripe.errors import CardError, StripeError
from sandbox.stripe.objects.cards import AUTHENTICATION, PROCESSING, SUCCEEDED, decline_of
from sandbox.stripe.objects.charges import end_pending_charge, new_charge
from sandbox.stripe.objects.payment_methods import attached
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id, visible

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
REQUIRES_ACTION = "requires_action"


def new_intent(
    work: Work,
    *,
    amount_minor: int,
    currency: str,
    customer_id: str | None,
    description: str | None,
    metadata: dict[str, str],
    **fields: Any,
) -> Json:
    """`fields` may name `payment_method`, `setup_future_usage` and `hooks`."""
    ident = new_id("pi")
    intent = work.insert(
        {
            "id": ident,
            "object": "payment_intent",
            "amount": amount_minor,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": None,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic_async",
            "client_secret": f"{ident}_{new_id('secret')}",
            "confirmation_method": "automatic",
            "created": work.now,
            "currency": currency,
            "customer": customer_id,
            "customer_account": None,
            "description": description,
            "excluded_payment_method_types": None,
            **{name: fields[name] for name in ("hooks",) if name in fields},
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": metadata,
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": fields.get("payment_method"),
            "payment_method_configuration_details": None,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "processing": None,
            "receipt_email": None,
            "review": None,
            "setup_future_usage": fields.get("setup_future_usage"),
            "shipping": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "requires_confirmation" if fields.get("payment_method") else "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
        }
    )
    work.emit("payment_intent.created", intent)
    return intent


def outcome_of(method: Json, *, off_session: bool) -> str:
    """How a charge of this method ends; a buyer who is there can be asked, one who is away cannot."""
    asks = method["_charge"] == AUTHENTICATION and not off_session
    return REQUIRES_ACTION if asks else str(method["_charge"])


def attempt_payment(work: Work, intent: Json, *, method: Json, outcome: str, email: str | None) -> Json:
    """One try with a payment method: paid, on its way, to be authenticated, or left open with the reason."""
    if outcome == REQUIRES_ACTION:
        return _ask_buyer(work, intent, method)
    charge = new_charge(work, intent, method=method, outcome=outcome, email=email)
    if outcome == SUCCEEDED:
        _succeed(work, intent, charge)
    elif outcome == PROCESSING:
        changes = {"latest_charge": charge["id"], "payment_method": method["id"], "status": "processing"}
        work.change(intent, None, **changes, next_action=None)
        work.emit("payment_intent.processing", intent)
    else:
        _fail(work, intent, charge, method=method, code=outcome)
    return intent


def _ask_buyer(work: Work, intent: Json, method: Json) -> Json:
    url = f"{work.base_url}/authenticate/{intent['id']}"
    action = {"redirect_to_url": {"return_url": None, "url": url}, "type": "redirect_to_url"}
    work.change(intent, None, next_action=action, payment_method=method["id"], status=REQUIRES_ACTION)
    work.emit("payment_intent.requires_action", intent)
    return intent


def _succeed(work: Work, intent: Json, charge: Json) -> None:
    work.change(
        intent,
        None,
        amount_received=intent["amount"],
        last_payment_error=None,
        latest_charge=charge["id"],
        next_action=None,
        payment_method=charge["payment_method"],
        status="succeeded",
    )
    work.emit("payment_intent.succeeded", intent)
    if intent["setup_future_usage"] and intent["customer"]:
        attached(work, work.get("payment_method", charge["payment_method"]), customer_id=intent["customer"])


def _fail(work: Work, intent: Json, charge: Json | None, *, method: Json, code: str) -> None:
    told = {**decline_of(code), "payment_method": visible(method), "type": "card_error"}
    if charge is not None:
        told["charge"] = charge["id"]
    work.change(
        intent,
        None,
        last_payment_error=told,
        latest_charge=charge and charge["id"],
        next_action=None,
        payment_method=None,
        status="requires_payment_method",
    )
    work.emit("payment_intent.payment_failed", intent)


def refusal_of(intent: Json) -> CardError:
    """The error that a caller sees of a try that was declined just now."""
    told = {name: value for name, value in intent["last_payment_error"].items() if name != "type"}
    return CardError(**told, payment_intent=visible(intent))


def authenticate(work: Work, intent: Json, *, succeeds: bool) -> Json:
    """The buyer answers the bank's question."""
    if intent["status"] != REQUIRES_ACTION:
        raise StripeError(f"PaymentIntent {intent['id']} waits for nobody: it is {intent['status']}.")
    method = work.get("payment_method", intent["payment_method"])
    if succeeds:
        return attempt_payment(work, intent, method=method, outcome=SUCCEEDED, email=None)
    _fail(work, intent, None, method=method, code=AUTHENTICATION)
    return intent


def end_processing(work: Work, intent: Json, *, outcome: str) -> Json:
    """A bank transfer that was on its way has arrived, or has not."""
    if intent["status"] != "processing":
        raise StripeError(f"PaymentIntent {intent['id']} is {intent['status']}; nothing is on its way.")
    charge = end_pending_charge(work, work.get("charge", intent["latest_charge"]), outcome=outcome)
    if outcome == SUCCEEDED:
        _succeed(work, intent, charge)
    else:
        _fail(work, intent, charge, method=work.get("payment_method", charge["payment_method"]), code=outcome)
    return intent
