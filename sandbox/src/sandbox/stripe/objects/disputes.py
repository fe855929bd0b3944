"""Disputes: the money leaves when one is opened, and comes back only when it is won."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.balance import DISPUTE_FEE_MINOR, new_movement
from sandbox.stripe.parameters import Text
from sandbox.stripe.routing import listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id, visible

PATH = "/v1/disputes"
EVIDENCE_DUE_S = 14 * 24 * 3600
CLOSED = ("won", "lost")
EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)


def open_dispute(work: Work, charge: Json, *, amount_minor: int | None = None, reason: str = "fraudulent") -> Json:
    _check_disputable(charge, amount_minor)
    dispute = work.insert(_dispute(work, charge, amount_minor=amount_minor or charge["amount"], reason=reason))
    work.change(charge, None, disputed=True)
    work.emit("charge.dispute.created", dispute)
    _move(work, dispute, amount_minor=-dispute["amount"], fee_minor=DISPUTE_FEE_MINOR, category="dispute")
    work.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def _check_disputable(charge: Json, amount_minor: int | None) -> None:
    if charge["status"] != "succeeded" or charge["disputed"]:
        raise StripeError(f"Charge {charge['id']} cannot be disputed: it failed or is disputed already.")
    if amount_minor is not None and not 0 < amount_minor <= charge["amount"]:
        raise StripeError(f"A dispute's amount must be between 1 and {charge['amount']}.", param="amount")


def close_dispute(work: Work, dispute: Json, *, won: bool) -> Json:
    if dispute["status"] in CLOSED:
        raise StripeError(f"Dispute {dispute['id']} is already {dispute['status']}.")
    work.change(dispute, None, status="won" if won else "lost")
    if won:
        _move(work, dispute, amount_minor=dispute["amount"], fee_minor=0, category="dispute_reversal")
    work.emit("charge.dispute.closed", dispute)
    if won:
        work.emit("charge.dispute.funds_reinstated", dispute)
    return dispute


def _move(work: Work, dispute: Json, *, amount_minor: int, fee_minor: int, category: str) -> None:
    movement = new_movement(
        work,
        source=dispute,
        kind="adjustment",
        category=category,
        amount_minor=amount_minor,
        fee_minor=fee_minor,
        description=f"Chargeback {category.removeprefix('dispute_')} for {dispute['charge']}",
    )
    work.change(dispute, None, balance_transactions=[*dispute["balance_transactions"], visible(movement)])


def _dispute(work: Work, charge: Json, *, amount_minor: int, reason: str) -> Json:
    return {
        "id": new_id("du"),
        "object": "dispute",
        "amount": amount_minor,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": work.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": work.now + EVIDENCE_DUE_S,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }


ROUTES = (
    listing(PATH, "dispute", {"charge": Text(), "payment_intent": Text()}),
    retrieve(PATH, "dispute"),
)
