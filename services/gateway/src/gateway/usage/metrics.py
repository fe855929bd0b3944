"""Metrics of journal, spool and the way to Kafka; labels never hold ids."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

LINKS: Final = Counter("faregate_gateway_kafka_links_dropped_total", "Connections to Kafka that were given up.")
STORE_SECONDS: Final = Histogram(
    "faregate_usage_event_stored_seconds",
    "From an event's making to its durability.",
    ["where"],
    buckets=(0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
)
SPOOL_BYTES: Final = Gauge("faregate_spool_bytes", "What waits in the spool.", multiprocess_mode="livesum")
SPOOL_AGE: Final = Gauge(
    "faregate_spool_oldest_seconds",
    "How long the oldest segment of the spool has waited.",
    multiprocess_mode="livemax",
)
SPOOL_ROOM: Final = Gauge(
    "faregate_spool_has_room", "Whether calls may be admitted as far as the spool goes.", multiprocess_mode="livemin"
)
SPOOLED: Final = Counter("faregate_spooled_events_total", "Events that went to the spool.", ["reason"])
REPLAYED: Final = Counter("faregate_spool_replayed_total", "Spooled events that Kafka has acknowledged.")
SET_ASIDE: Final = Counter("faregate_spool_set_aside_total", "Spooled events that Kafka refuses for good: an alarm.")
DAMAGED: Final = Counter("faregate_state_damaged_bytes_total", "Bytes of journal and spool not readable.", ["where"])
JOURNAL_BROKEN: Final = Gauge(
    "faregate_journal_broken", "Whether the journal cannot be written.", multiprocess_mode="livemax"
)
ORPHANED: Final = Counter("faregate_journal_orphans_total", "Calls of dead processes that were reported as orphaned.")
LATE: Final = Counter("faregate_late_admissions_total", "Admissions journalled after their minute was counted.")
REFUSALS_UNCOUNTED: Final = Counter("faregate_refusals_uncounted_total", "Refusals beyond what is counted a minute.")
