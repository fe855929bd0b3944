"""Refunds, whole or in part; the processing fee stays with Stripe."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.balance import new_movement
from sandbox.stripe.objects.metadata import fresh
from sandbox.stripe.parameters import Choice, Integer, Kind, Metadata, Text, not_done
from sandbox.stripe.routing import Params, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/refunds"
CREATABLE: dict[str, Kind] = {
    "amount": Integer(minimum=1),
    "charge": Text(),
    "metadata": Metadata(),
    "payment_intent": Text(),
    "reason": Choice("duplicate", "fraudulent", "requested_by_customer"),
    **not_done("currency customer instructions_email origin refund_application_fee reverse_transfer"),
}


def create_refund(work: Work, ident: str, params: Params) -> Json:
    charge = _charge(work, params)
    amount = _amount_minor(charge, params)
    refund = _new_refund(work, charge, amount_minor=amount, params=params)
    refunded = charge["amount_refunded"] + amount
    before = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    work.change(charge, None, amount_refunded=refunded, refunded=refunded == charge["amount"])
    work.emit("refund.created", refund)
    work.emit("charge.refunded", charge, before=before)
    return refund


def _charge(work: Work, params: Params) -> Json:
    if ("charge" in params) == ("payment_intent" in params):
        raise StripeError("One of `charge` or `payment_intent` must be given.", param="payment_intent")
    if "charge" in params:
        return work.referenced("charge", params["charge"], param="charge")
    intent = work.referenced("payment_intent", params["payment_intent"], param="payment_intent")
    if intent["status"] != "succeeded":
        message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        raise StripeError(message, param="payment_intent")
    return work.get("charge", intent["latest_charge"])


def _amount_minor(charge: Json, params: Params) -> int:
    left = charge["amount"] - charge["amount_refunded"]
    if not charge["captured"]:
        raise StripeError(f"Charge {charge['id']} failed; there is nothing to refund.", param="charge")
    if charge["disputed"]:
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise StripeError(message, code="charge_disputed", param="charge")
    if left == 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise StripeError(message, code="charge_already_refunded", param="charge")
    amount = int(params.get("amount", left))
    if amount > left:
        raise StripeError(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount"
        )
    return amount


def _new_refund(work: Work, charge: Json, *, amount_minor: int, params: Params) -> Json:
    refund = work.insert(
        {
            "id": new_id("re"),
            "object": "refund",
            "amount": amount_minor,
            "balance_transaction": None,
            "charge": charge["id"],
            "created": work.now,
            "currency": charge["currency"],
            "customer": charge["customer"],
            "customer_account": None,
            "destination_details": {"card": {"type": "refund"}, "type": "card"},
            "metadata": fresh(params.get("metadata")),
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "reason": params.get("reason"),
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "succeeded",
            "transfer_reversal": None,
        }
    )
    movement = new_movement(
        work,
        source=refund,
        kind="refund",
        category="refund",
        amount_minor=-amount_minor,
        fee_minor=0,
        description="REFUND FOR CHARGE",
    )
    return work.change(refund, None, balance_transaction=movement["id"])


ROUTES = (
    create(PATH, create_refund, CREATABLE),
    listing(PATH, "refund", {"charge": Text(), "payment_intent": Text()}),
    retrieve(PATH, "refund"),
)
