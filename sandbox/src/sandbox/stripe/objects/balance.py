"""Balance transactions: what moved on the account's balance, and what Stripe kept of it."""

from sandbox.stripe.parameters import Choice, Currency, Text, not_done
from sandbox.stripe.routing import listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/balance_transactions"
FEE_PER_MILLE = 29
FEE_FIXED_MINOR = 30
DISPUTE_FEE_MINOR = 1500
PAYOUT_DELAY_S = 2 * 24 * 3600


def processing_fee_minor(amount_minor: int) -> int:
    """2.9 % and 30 minor units, the half rounded up."""
    return (amount_minor * FEE_PER_MILLE + 500) // 1000 + FEE_FIXED_MINOR


def new_movement(
    work: Work, *, source: Json, kind: str, category: str, amount_minor: int, fee_minor: int, description: str
) -> Json:
    """`kind` is the transaction's type; money that leaves is negative."""
    return work.insert(
        {
            "id": new_id("txn"),
            "object": "balance_transaction",
            "amount": amount_minor,
            "available_on": work.now + PAYOUT_DELAY_S,
            "balance_type": "payments",
            "created": work.now,
            "currency": source["currency"],
            "description": description,
            "exchange_rate": None,
            "fee": fee_minor,
            "fee_details": _fee_details(fee_minor, currency=source["currency"]),
            "net": amount_minor - fee_minor,
            "reporting_category": category,
            "source": source["id"],
            "status": "pending",
            "type": kind,
        }
    )


def _fee_details(fee_minor: int, *, currency: str) -> list[Json]:
    if fee_minor == 0:
        return []
    detail = {"amount": fee_minor, "application": None, "currency": currency, "type": "stripe_fee"}
    return [{**detail, "description": "Stripe processing fees"}]


ROUTES = (
    listing(
        PATH,
        "balance_transaction",
        {
            "currency": Currency(),
            "source": Text(),
            "type": Choice("adjustment", "charge", "refund"),
            **not_done("payout"),
        },
    ),
    retrieve(PATH, "balance_transaction"),
)
