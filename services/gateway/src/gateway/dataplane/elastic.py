"""A hold that grows with what is delivered (money.md 8)."""

import math
from collections.abc import Callable
from typing import Any, Final, Protocol
from uuid import UUID

from gateway.admission.types import Amounts
from gateway.surfaces.types import Estimate
from gateway.usage.ending import Cut

_EXTEND_AT: Final = 0.7


class Extender(Protocol):
    """The part of admission that lets a hold grow."""

    def extend_soon(self, call_id: UUID, amounts: Amounts, then: Callable[[Any], None]) -> None:
        """`then` gets True, False, "confirmed", "swept", or an exception when it could not be asked."""
        ...


class ElasticHold:
    """Input and a first step of output are reserved; at 70 % of what is reserved the next step is asked for.

    Where it is refused, what is reserved is delivered to its end, and asked once more: money may have come in.
    `is_used_up` while more than what is reserved may have been delivered: then nothing more is read, so that the
    overspend of a call is at most the error of the estimate.
    """

    __slots__ = (
        "_asking",
        "_call_id",
        "_delivered",
        "_estimate",
        "_extend_at",
        "_extender",
        "_on_end",
        "_on_more",
        "_reserved",
        "_step",
        "is_used_up",
    )

    def __init__(
        self,
        extender: Extender,
        call_id: UUID,
        estimate: Estimate,
        *,
        step_tokens: int,
        on_more: Callable[[], None],
        on_end: Callable[[Cut], None],
    ) -> None:
        self._extender = extender
        self._call_id = call_id
        self._estimate = estimate
        self._step = step_tokens
        self._on_more = on_more
        self._on_end = on_end
        self._asking = False
        self._delivered = 0
        self.is_used_up = False
        self._reserve(first_step(estimate, step_tokens))

    def note(self, delivered_tokens: int) -> None:
        """Ask for more where it is time to."""
        self._delivered = delivered_tokens
        if delivered_tokens < self._extend_at:
            return
        self.is_used_up = delivered_tokens >= self._reserved
        if not self._asking:
            self._asking = True
            wanted = min(max(self._reserved, delivered_tokens) + self._step, self._estimate.max_tokens)
            amounts = self._estimate.with_output(wanted)
            self._extender.extend_soon(self._call_id, amounts, lambda answer: self._answered(answer, wanted))

    def _reserve(self, tokens: int) -> None:
        self._reserved = tokens
        self._extend_at = math.inf if tokens >= self._estimate.max_tokens else tokens * _EXTEND_AT

    def _answered(self, answer: Any, wanted: int) -> None:
        self._asking = False
        if answer is True:
            self._reserve(wanted)
            self.is_used_up = False
            self._on_more()
        elif answer is False and self._delivered < self._reserved:
            self._extend_at = self._reserved
        elif answer is False:
            self._on_end("out_of_credit")
        elif isinstance(answer, str):
            # Booked or swept already: it may deliver nothing more (money.md 6).
            self._on_end("swept")
        # Else Redis does not answer: what is reserved may be delivered, and the next bytes or tick ask again.


def first_step(estimate: Estimate, step_tokens: int) -> int:
    """The output that an elastic hold begins with."""
    return min(step_tokens, estimate.max_tokens)
