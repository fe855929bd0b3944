"""Metrics of the machinery; labels never hold ids of customers."""

import os
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

OUTBOX_RELAYED: Final = Counter("faregate_outbox_relayed_total", "Events published from the outbox.")
RECORDS_APPLIED: Final = Counter("faregate_records_applied_total", "Kafka records applied.", ["group", "topic"])
RECORDS_REPEATED: Final = Counter(
    "faregate_records_repeated_total", "Records that were applied before.", ["group", "topic"]
)
RECORDS_SET_ASIDE: Final = Counter("faregate_records_set_aside_total", "Records sent to a DLQ.", ["group", "topic"])
RECORDS_PARKED: Final = Counter(
    "faregate_records_parked_total", "Records waiting for what they name.", ["group", "topic"]
)
PARKED: Final = Gauge("faregate_parked_records", "Records that are parked now.", ["group"], multiprocess_mode="livemax")
PARKED_AGE: Final = Gauge(
    "faregate_parked_oldest_seconds", "Age of the oldest parked record.", ["group"], multiprocess_mode="livemax"
)
CONFLICTS: Final = Counter(
    "faregate_conflicting_events_total", "Same id with other content: an alarm.", ["group", "topic"]
)
BATCH_SECONDS: Final = Histogram("faregate_batch_seconds", "From a batch in hand to its commit.", ["group"])
REQUEST_SECONDS: Final = Histogram("faregate_http_request_seconds", "HTTP requests.", ["route", "method", "status"])


def registry(folder: str | None = None) -> CollectorRegistry:
    """What `/metrics` shows: this process, or all workers that write to the folder which the environment names."""
    shared = folder or os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not shared:
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together, path=shared)  # type: ignore[no-untyped-call]
    return together
