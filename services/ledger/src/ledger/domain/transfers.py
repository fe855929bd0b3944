from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

STRIPE_CLEARING: Final = "stripe_clearing"
PROVIDER: Final = "provider"
TRIAL: Final = "trial"
PLANS: Final = "plans"
GOODWILL: Final = "goodwill"
ADJUSTMENTS: Final = "adjustments"
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


PLATFORM_KINDS: Final = (TransferKind.COST, TransferKind.COST_REVERSAL)
"""Movements between accounts of the platform; customers do not see them."""


class Transfer(NamedTuple):
    """An amount of one unit that leaves one ledger account and enters another; columns in the table's order.

    `balance_after`: what the account could use less its debt, None on the platform's side.
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


def revenue_account(model: str) -> str:
    return f"revenue:{model}"


def cost_account(model: str) -> str:
    return f"cost:{model}"
