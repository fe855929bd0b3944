from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

STRIPE_CLEARING: Final = "stripe_clearing"
PROVIDER: Final = "provider"
TRIAL: Final = "trial"
PLANS: Final = "plan"
GOODWILL: Final = "goodwill"
ADJUSTMENTS: Final = "adjustments"
BREAKAGE: Final = "breakage"
DISPUTES_HELD: Final = "disputes_held"
PROMO: Final = "promo"
"""Ledger accounts of the platform: no lock, no stored balance, summed when asked."""


class TransferKind(StrEnum):
    """Why an amount moved."""

    TOPUP = "topup"
    DEDUCTION = "deduction"
    DEBT_REPAYMENT = "debt_repayment"
    REFUND = "refund"
    REINSTATEMENT = "reinstatement"
    ADJUSTMENT = "adjustment"
    COST = "cost"
    COST_REVERSAL = "cost_reversal"
    EXPIRY = "expiry"
    EXPIRY_REVERSAL = "expiry_reversal"
    ROLL_OVER = "roll_over"
    ROLL_OVER_REVERSAL = "roll_over_reversal"
    PLAN_CHANGE = "plan_change"
    REVERSAL = "reversal"
    DISPUTE = "dispute"
    CORRECTION = "correction"
    COST_CORRECTION = "cost_correction"


PLATFORM_KINDS: Final = (
    TransferKind.COST,
    TransferKind.COST_REVERSAL,
    TransferKind.DISPUTE,
    TransferKind.COST_CORRECTION,
)
"""Movements between accounts of the platform; customers do not see them."""


class Transfer(NamedTuple):
    """An amount of one unit that leaves one ledger account and enters another; columns in the table's order.

    `balance_after`: what the account could use of the unit (credits: less its debt), None on the platform's side.
    """

    account_id: UUID
    seq: int
    source: str
    target: str
    unit: str
    amount: int
    kind: str
    charge_id: UUID | None
    grant_id: UUID | None
    reference: str | None
    balance_after: int | None
    booked_at: datetime
    effective_at: datetime


def debt_account(account_id: UUID) -> str:
    return f"debt:{account_id}"


def receivable_account(account_id: UUID) -> str:
    """Overage that was used and is collected later."""
    return f"receivable:{account_id}"


def revenue_account(model: str) -> str:
    return f"revenue:{model}"


def used_account(model: str) -> str:
    """Where plan tokens and requests go that a call burns."""
    return f"used:{model}"


def cost_account(model: str) -> str:
    return f"cost:{model}"
