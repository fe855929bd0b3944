"""What all calls of a process share."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from gateway.dataplane.attempts import Reporter
from gateway.dataplane.conclusion import Settlement
from gateway.dataplane.elastic import Extender
from gateway.dataplane.open_calls import OpenCalls
from gateway.dataplane.upstream import Upstream
from gateway.surfaces.limit_headers import LimitHeaders
from gateway.usage.journal import Journal
from gateway.usage.publisher import UsagePublisher
from kit.clock import Clock


class Holds(Settlement, Extender, Protocol):
    """The part of admission that a running call needs."""

    def never_began(self, call_id: UUID, *, account_id: UUID) -> None:
        """An admitted call that was not dispatched: its hold is given back."""
        ...


@dataclass(frozen=True, slots=True)
class CallParts:
    """The parts, and the figures that an operator sets."""

    upstream: Upstream
    routing: Reporter
    admission: Holds
    journal: Journal
    publisher: UsagePublisher
    calls: OpenCalls
    clock: Clock
    limits: LimitHeaders
    drain_s: float
    ping_after_s: float
