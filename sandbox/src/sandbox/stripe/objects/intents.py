"""Payment intents: an amount that is to be taken, over one or more tries."""

from sandbox.stripe.objects.charges import new_charge
from sandbox.stripe.parameters import Text, not_done
from sandbox.stripe.routing import listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/payment_intents"


def new_intent(
    work: Work,
    *,
    amount_minor: int,
    currency: str,
    customer_id: str | None,
    description: str | None,
    metadata: dict[str, str],
) -> Json:
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
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": metadata,
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "processing": None,
            "receipt_email": None,
            "review": None,
            "setup_future_usage": None,
            "shipping": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
            "_card": new_id("pm"),
        }
    )
    work.emit("payment_intent.created", intent)
    return intent


def attempt_payment(work: Work, intent: Json, *, succeeds: bool, email: str | None) -> Json:
    """One try with a card: a charge, and the intent paid or left open with the reason."""
    charge = new_charge(work, intent, succeeded=succeeds, email=email)
    if succeeds:
        work.change(intent, None, **_paid(intent, charge))
        work.emit("payment_intent.succeeded", intent)
    else:
        work.change(intent, None, latest_charge=charge["id"], last_payment_error=_declined(intent, charge))
        work.emit("payment_intent.payment_failed", intent)
    return intent


def _paid(intent: Json, charge: Json) -> Json:
    return {
        "amount_received": intent["amount"],
        "last_payment_error": None,
        "latest_charge": charge["id"],
        "payment_method": intent["_card"],
        "status": "succeeded",
    }


def _declined(intent: Json, charge: Json) -> Json:
    return {
        "advice_code": charge["outcome"]["advice_code"],
        "charge": charge["id"],
        "code": "card_declined",
        "decline_code": "generic_decline",
        "message": charge["failure_message"],
        "type": "card_error",
    }


ROUTES = (
    listing(PATH, "payment_intent", {"customer": Text(), **not_done("customer_account")}),
    retrieve(PATH, "payment_intent"),
)
