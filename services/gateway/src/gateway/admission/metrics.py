"""What admission counts; labels never hold ids of customers."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

DECISIONS: Final = Counter("faregate_admission_decisions_total", "Calls admitted or refused, by answer.", ["answer"])
SECONDS: Final = Histogram(
    "faregate_admission_seconds",
    "From asking for a hold to the answer.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
UNDONE: Final = Counter("faregate_admission_undone_total", "Holds given back because their calls never began.")
OPEN: Final = Gauge(
    "faregate_admission_open_calls", "Calls of this gateway that hold credits.", multiprocess_mode="livesum"
)
UNSETTLED: Final = Gauge(
    "faregate_admission_unsettled_calls",
    "Ended calls whose price Redis does not know yet.",
    multiprocess_mode="livesum",
)
RELOADS: Final = Counter("faregate_admission_reloads_total", "Accounts rebuilt from the ledger, by result.", ["result"])
REENTERED: Final = Counter("faregate_admission_reentered_total", "Open calls entered again under a new run of Redis.")
SWEPT: Final = Counter("faregate_admission_swept_total", "Calls that nobody kept alive, reported as orphaned.")
LOST: Final = Counter("faregate_admission_lost_calls_total", "Open calls of this gateway that were swept meanwhile.")
CLOCK_SKEWED: Final = Counter(
    "faregate_admission_clock_skewed_total", "Call ids more than 60 s from their admission: an alarm."
)

_COUNTED: Final[dict[str, int]] = {}


def count_decision(answer: str) -> None:
    """One answer of admission; a counter's lock costs as much as reading the answer, so they are told each second."""
    _COUNTED[answer] = _COUNTED.get(answer, 0) + 1


def tell_decisions() -> None:
    while _COUNTED:
        answer, count = _COUNTED.popitem()
        DECISIONS.labels(answer).inc(count)
