"""Which target a call is sent to next, and what a provider's answer says about the target."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from gateway.headers import Header
from gateway.routing.types import Target, TargetOutcome

_OUTCOMES: Final[dict[int, TargetOutcome]] = {
    # Our credential or bill, not the client's.
    401: "failed",
    402: "failed",
    403: "failed",
    408: "failed",
    429: "rate_limited",
    503: "overloaded",
    529: "overloaded",
}
_LONGEST_RETRY_S: Final = 3600.0


class Reporter(Protocol):
    """The part of routing that learns how targets do."""

    def report(self, target: Target, outcome: TargetOutcome, retry_after_s: float | None = None) -> None: ...


class Attempts:
    """The targets of one call, each tried at most once."""

    __slots__ = ("_reporter", "_targets", "count")

    def __init__(self, targets: Sequence[Target], reporter: Reporter) -> None:
        self._targets = targets
        self._reporter = reporter
        self.count = 0

    @property
    def target(self) -> Target:
        """The one that is tried now, or the first."""
        return self._targets[max(self.count - 1, 0)]

    @property
    def has_more(self) -> bool:
        return self.count < len(self._targets)

    def advance(self) -> Target:
        self.count += 1
        return self._targets[self.count - 1]

    def report(self, outcome: TargetOutcome, retry_after_s: float | None = None) -> None:
        self._reporter.report(self.target, outcome, retry_after_s)


def outcome_of(status: int) -> TargetOutcome:
    """What a status says about the target; a client's fault would be one everywhere."""
    if status < 300:
        return "ok"
    # Nothing is followed: a provider that points elsewhere does not serve.
    if status < 400 or status >= 500:
        return _OUTCOMES.get(status, "failed")
    return _OUTCOMES.get(status, "client_fault")


def retry_after_of(headers: Iterable[Header]) -> float | None:
    """The seconds that a provider asks to be left alone; a date is not understood."""
    for name, value in headers:
        if name == b"retry-after":
            text = value.strip()
            return min(float(text), _LONGEST_RETRY_S) if text.isdigit() else None
    return None
