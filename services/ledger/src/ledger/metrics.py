"""What only the ledger counts; labels never hold ids of customers."""

from typing import Final

from prometheus_client import Counter

CALLS_BOOKED: Final = Counter("faregate_ledger_calls_booked_total", "Calls charged, zero prices included.", ["outcome"])
ORPHANS_SKIPPED: Final = Counter("faregate_ledger_orphans_skipped_total", "Orphan reports after another end.")
ORPHANS_REPLACED: Final = Counter("faregate_ledger_orphans_replaced_total", "Orphans that ended after all.")
ADMISSION_SKEWED: Final = Counter(
    "faregate_ledger_admission_skewed_total", "Calls whose id and admission are more than a minute apart: an alarm."
)
