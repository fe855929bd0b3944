"""Charges: each try to take money, and what came of it."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.balance import new_movement, processing_fee_minor
from sandbox.stripe.objects.cards import DECLINES, SUCCEEDED, decline_of
from sandbox.stripe.objects.payment_methods import NO_ADDRESS
from sandbox.stripe.parameters import Text, not_done
from sandbox.stripe.routing import listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/charges"
BLANK: Json = {
    "object": "charge",
    "amount_refunded": 0,
    "application": None,
    "application_fee": None,
    "application_fee_amount": None,
    "balance_transaction": None,
    "calculated_statement_descriptor": None,
    "disputed": False,
    "failure_balance_transaction": None,
    "fraud_details": {},
    "livemode": False,
    "on_behalf_of": None,
    "receipt_email": None,
    "receipt_number": None,
    "receipt_url": None,
    "refunded": False,
    "review": None,
    "shipping": None,
    "source_transfer": None,
    "statement_descriptor": None,
    "statement_descriptor_suffix": None,
    "transfer_data": None,
    "transfer_group": None,
}


def new_charge(work: Work, intent: Json, *, method: Json, outcome: str, email: str | None) -> Json:
    """The charge of one try to pay an intent: paid, on its way (`processing`) or declined with that code."""
    charge = work.insert(_charge(work, intent, method=method, outcome=outcome, email=email))
    if outcome == SUCCEEDED and not work.switches.late_fees:
        charge["balance_transaction"] = _fee_movement(work, charge)["id"]
        work.store.save(charge)
    work.emit(f"charge.{charge['status']}", charge)
    return charge


def end_pending_charge(work: Work, charge: Json, *, outcome: str) -> Json:
    """A payment that took days has arrived, or has not."""
    failed = outcome != SUCCEEDED
    told = decline_of(outcome) if failed else None
    changes = {
        "status": "failed" if failed else "succeeded",
        "paid": not failed,
        "amount_captured": 0 if failed else charge["amount"],
        "captured": not failed,
        "failure_code": told and told["code"],
        "failure_message": told and told["message"],
        "outcome": _outcome(outcome),
    }
    work.change(charge, None, **changes)
    if not failed:
        work.change(charge, None, balance_transaction=_fee_movement(work, charge)["id"])
    work.emit(f"charge.{charge['status']}", charge)
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


def _charge(work: Work, intent: Json, *, method: Json, outcome: str, email: str | None) -> Json:
    succeeded, told = outcome == SUCCEEDED, decline_of(outcome) if outcome in DECLINES else None
    status = "succeeded" if succeeded else "failed" if told else "pending"
    return {
        **BLANK,
        "id": new_id("ch"),
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if succeeded else 0,
        "billing_details": {"address": NO_ADDRESS, "email": email, "name": None, "phone": None, "tax_id": None},
        "captured": succeeded,
        "created": work.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "failure_code": told and told["code"],
        "failure_message": told and told["message"],
        "metadata": intent["metadata"],
        "outcome": _outcome(outcome),
        "paid": succeeded,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"type": method["type"], method["type"]: _details(method)},
        "status": status,
    }


def _outcome(outcome: str) -> Json:
    declined = outcome in DECLINES
    return {
        "advice_code": decline_of(outcome)["advice_code"] if declined else None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if declined else "approved_by_network",
        "reason": outcome if declined else None,
        "risk_level": "normal",
        "seller_message": f"The bank returned the decline code `{outcome}`." if declined else "Payment complete.",
        "type": "issuer_declined" if declined else "authorized",
    }


def _details(method: Json) -> Json:
    if method["type"] == "us_bank_account":
        names = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number")
        return {**{name: method["us_bank_account"][name] for name in names}, "payment_reference": None}
    card = method["card"]
    return {
        **{name: card[name] for name in ("brand", "country", "exp_month", "exp_year", "funding", "last4")},
        "checks": None,
        "fingerprint": None,
        "installments": None,
        "mandate": None,
        "network": card["brand"],
        "three_d_secure": None,
        "wallet": None,
    }


ROUTES = (
    listing(PATH, "charge", {"customer": Text(), "payment_intent": Text(), **not_done("transfer_group")}),
    retrieve(PATH, "charge"),
)
