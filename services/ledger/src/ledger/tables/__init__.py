"""All tables of the ledger, by what they are about."""

from ledger.tables.accounts import (
    account,
    account_hold,
    budget,
    budget_owner,
    grant,
    overage_accrual,
    plan,
    price_book,
    reannouncement,
    subscription,
)
from ledger.tables.base import Instant, metadata
from ledger.tables.calls import (
    balance_mark,
    charge,
    operation_key,
    sealed_day,
    sealed_head,
    transfer,
    usage_day,
    usage_detail,
)
from ledger.tables.correcting import archive_manifest, calls_counted, charge_correction, reconciliation, rerate_run
from ledger.tables.money import adjustment, audit_record, margin_watch, payment, promo_code, promo_redemption, reversal

__all__ = [
    "Instant",
    "account",
    "account_hold",
    "adjustment",
    "archive_manifest",
    "audit_record",
    "balance_mark",
    "budget",
    "budget_owner",
    "calls_counted",
    "charge",
    "charge_correction",
    "grant",
    "margin_watch",
    "metadata",
    "operation_key",
    "overage_accrual",
    "payment",
    "plan",
    "price_book",
    "promo_code",
    "promo_redemption",
    "reannouncement",
    "reconciliation",
    "rerate_run",
    "reversal",
    "sealed_day",
    "sealed_head",
    "subscription",
    "transfer",
    "usage_day",
    "usage_detail",
]
