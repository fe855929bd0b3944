"""What all tables share; migrations make them, with checks, partitions and triggers."""

from typing import Final

from sqlalchemy import DateTime, MetaData

from kit.tables import NAMING, idempotency_table, inbox_table, outbox_table, parked_table

metadata: Final = MetaData(naming_convention=NAMING)

for machinery in (outbox_table, inbox_table, parked_table, idempotency_table):
    machinery.to_metadata(metadata)

Instant: Final = DateTime(timezone=True)
