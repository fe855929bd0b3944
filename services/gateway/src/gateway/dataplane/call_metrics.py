"""Metrics of the path of a paid call: each label's child is bound once, because looking it up costs microseconds."""

from typing import Final

from prometheus_client import Counter

from gateway import metrics

FAILED_OVER: Final = Counter("faregate_calls_failed_over_total", "Times that a call went on to its next target.")
STALE_CONNECTIONS: Final = Counter(
    "faregate_upstream_stale_total", "Requests repeated because the provider had closed their connection before."
)
FIRST_BYTE: Final = {streamed: metrics.FIRST_BYTE_SECONDS.labels(str(streamed).lower()) for streamed in (True, False)}

_ended: dict[tuple[str, str], Counter] = {}
_answered: dict[int, Counter] = {}


def call_ended(outcome: str, basis: str) -> None:
    child = _ended.get((outcome, basis))
    if child is None:
        child = _ended[outcome, basis] = metrics.CALLS.labels(outcome, basis)
    child.inc()


def upstream_answered(status: int) -> None:
    child = _answered.get(status)
    if child is None:
        child = _answered[status] = metrics.UPSTREAM_STATUS.labels(str(status))
    child.inc()
