"""Metrics of the path of a paid call, counted in plain integers there: a counter's lock costs too much.

What has been counted is told four times a second.
"""

from collections import Counter as Tally
from typing import Final

from prometheus_client import Counter

from gateway import metrics

FAILED_OVER: Final = Counter("faregate_calls_failed_over_total", "Times that a call went on to its next target.")
STALE_CONNECTIONS: Final = Counter(
    "faregate_upstream_stale_total", "Requests repeated because the provider had closed their connection before."
)
_FIRST_BYTE: Final = {streamed: metrics.FIRST_BYTE_SECONDS.labels(str(streamed).lower()) for streamed in (True, False)}
_TIMED_EVERY_S: Final = 0.005
"""At most so often a first byte is timed: two hundred a second say as much as all."""

_ended: Final[Tally[tuple[str, str]]] = Tally()
_answered: Final[Tally[int]] = Tally()
_timed_s: Final = {True: 0.0, False: 0.0}


def call_ended(outcome: str, basis: str) -> None:
    _ended[outcome, basis] += 1


def upstream_answered(status: int) -> None:
    _answered[status] += 1


def first_byte(*, streamed: bool, began_s: float, now_s: float) -> None:
    if now_s - _timed_s[streamed] >= _TIMED_EVERY_S:
        _timed_s[streamed] = now_s
        _FIRST_BYTE[streamed].observe(now_s - began_s)


def tell() -> None:
    """Hand over what was counted."""
    for (outcome, basis), count in _ended.items():
        metrics.CALLS.labels(outcome, basis).inc(count)
    for status, count in _answered.items():
        metrics.UPSTREAM_STATUS.labels(str(status)).inc(count)
    _ended.clear()
    _answered.clear()
