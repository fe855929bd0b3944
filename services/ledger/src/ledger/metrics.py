"""What only the ledger counts; labels never hold ids of customers."""

from typing import Final

from prometheus_client import Counter, Gauge

CALLS_BOOKED: Final = Counter("faregate_ledger_calls_booked_total", "Calls charged, zero prices included.", ["outcome"])
ORPHANS_SKIPPED: Final = Counter("faregate_ledger_orphans_skipped_total", "Orphan reports after another end.")
ORPHANS_REPLACED: Final = Counter("faregate_ledger_orphans_replaced_total", "Orphans that ended after all.")
OPERATIONS_REPEATED: Final = Counter(
    "faregate_ledger_operations_repeated_total", "Operations booked at zero: their idempotency key was used before."
)
ADMISSION_SKEWED: Final = Counter(
    "faregate_ledger_admission_skewed_total", "Calls whose id and admission are more than a minute apart: an alarm."
)
RECONCILE_DIFFERING: Final = Gauge(
    "faregate_ledger_reconcile_differing_calls",
    "Calls by which admissions and books differ over the last 48 hours: an alarm.",
    ["gateway"],
    multiprocess_mode="livemax",
)
SILENT_MINUTES: Final = Gauge(
    "faregate_ledger_gateway_silent_minutes",
    "Minutes of the last 48 hours of which a gateway said nothing.",
    ["gateway"],
    multiprocess_mode="livemax",
)
