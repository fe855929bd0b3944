"""Charges: each try to take money, and what came of it."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.balance import new_movement, processing_fee_minor
from sandbox.stripe.parameters import Text, not_done
from sandbox.stripe.routing import listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/charges"
NO_ADDRESS = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}


def new_charge(work: Work, intent: Json, *, succeeded: bool, email: str | None) -> Json:
    """The charge of one try to pay an intent."""
    charge = _charge(work, intent, succeeded=succeeded, email=email)
    work.insert(charge)
    if succeeded and not work.switches.late_fees:
        charge["balance_transaction"] = _fee_movement(work, charge)["id"]
        work.store.save(charge)
    work.emit("charge.succeeded" if succeeded else "charge.failed", charge)
    return charge


def settle_charge(work: Work, charge: Json) -> Json:
    """Give a charge the balance transaction that it was made without."""
    if charge["balance_transaction"] or charge["status"] != "succeeded":
        raise StripeError(f"Charge {charge['id']} has nothing left to settle.")
    return work.change(charge, "charge.updated", balance_transaction=_fee_movement(work, charge)["id"])


def _fee_movement(work: Work, charge: Json) -> Json:
    return new_movement(
        work,
        source=charge,
        kind="charge",
        category="charge",
        amount_minor=charge["amount"],
        fee_minor=processing_fee_minor(charge["amount"]),
        description=charge["description"],
    )


def _charge(work: Work, intent: Json, *, succeeded: bool, email: str | None) -> Json:
    return {
        "id": new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if succeeded else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {"address": NO_ADDRESS, "email": email, "name": None, "phone": None, "tax_id": None},
        "calculated_statement_descriptor": None,
        "captured": succeeded,
        "created": work.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None if succeeded else "card_declined",
        "failure_message": None if succeeded else "Your card was declined.",
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": _outcome(succeeded=succeeded),
        "paid": succeeded,
        "payment_intent": intent["id"],
        "payment_method": intent["_card"],
        "payment_method_details": {"card": _card(succeeded=succeeded), "type": "card"},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded" if succeeded else "failed",
        "transfer_data": None,
        "transfer_group": None,
    }


def _outcome(*, succeeded: bool) -> Json:
    return {
        "advice_code": None if succeeded else "try_again_later",
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network" if succeeded else "declined_by_network",
        "reason": None if succeeded else "generic_decline",
        "risk_level": "normal",
        "seller_message": "Payment complete." if succeeded else "The bank returned the decline code `generic_decline`.",
        "type": "authorized" if succeeded else "issuer_declined",
    }


def _card(*, succeeded: bool) -> Json:
    return {
        "brand": "visa",
        "checks": None,
        "country": "US",
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": None,
        "funding": "credit",
        "installments": None,
        "last4": "4242" if succeeded else "0002",
        "mandate": None,
        "network": "visa",
        "three_d_secure": None,
        "wallet": None,
    }


ROUTES = (
    listing(PATH, "charge", {"customer": Text(), "payment_intent": Text(), **not_done("transfer_group")}),
    retrieve(PATH, "charge"),
)
