"""The end of a call: its one event, durable before the last bytes leave; then the price, and the rest of the answer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway.admission.types import NOTHING, Amounts
from gateway.dataplane import call_metrics
from gateway.dataplane.refusing import refuse
from gateway.errors import ModelApiError, overloaded, unavailable
from gateway.usage.ending import Cut, Ending, ending_of
from gateway.usage.event import usage_event
from kit import logging
from rating import RatingError, price_of, total_of
from rating.plan_tokens import plan_tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from gateway.dataplane.call import Call

log = logging.get(__name__)

# What a named tuple's own constructor calls; that one is written in Python.
_new: Final = tuple.__new__
# The provider's word on the operator's own credential, bill or rate is not about the client's.
_OPERATORS_FAULT: Final = frozenset({401, 402})
_OPERATORS_RATE: Final = 429
_CUTS: Final[dict[Cut, Callable[[], ModelApiError]]] = {
    "shutdown": lambda: unavailable("The gateway is restarting; try again."),
    "swept": lambda: unavailable("The call took longer than its hold lasts."),
    "client_gone": lambda: unavailable("The client has left."),
    "internal": lambda: ModelApiError(500, "Something went wrong on our side; it has been recorded."),
    "out_of_credit": lambda: ModelApiError(
        402, "Your credit balance ran out while the answer was being made; add credits to go on."
    ),
}


class Settlement(Protocol):
    """The part of admission that a call needs at its end."""

    def settle_soon(self, call_id: UUID, amounts: Amounts, then: Callable[[Any], None] | None = None) -> None:
        """The hold becomes the price; tried again until it works."""
        ...

    def memo(self, call_id: UUID, amounts: Amounts) -> bytes:
        """What enters the ended call again after a loss of Redis."""
        ...

    def abandon(self, call_id: UUID) -> None:
        """The call's end could not be stored: its hold is left to the sweeper."""
        ...


class Conclusion:
    """Begun once; delivers when the event is stored and nothing more comes from the provider."""

    __slots__ = ("_amounts", "_call", "_ending", "_is_delivered", "_is_stored")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._is_stored = False
        self._is_delivered = False
        self._ending: Ending
        self._amounts: Amounts

    def begin(self) -> None:
        """Everything that is charged is decided here; nothing leaves before it is stored."""
        call = self._call
        order, progress, target = call.order, call.progress, call.attempts.target
        ending = self._ending = ending_of(
            progress,
            model_asked=target.serves,
            likely_input_tokens=order.estimate.likely_input_tokens,
            is_priced=order.book.rates.__contains__,
        )
        call_metrics.call_ended(ending.outcome, ending.basis)
        self._amounts = self._amounts_of(ending)
        event = usage_event(
            order.facts,
            order.admitted,
            ending,
            progress,
            instance=call.parts.publisher.instance,
            ended_at=call.parts.clock.now(),
            route=target.route,
            credential_id=target.credential_id,
            attempts=max(progress.attempts, 1),
            first_byte_at=progress.first_byte_at,
            basis_reason=ending.basis_reason,
        )
        call.parts.publisher.store_soon(order.facts.account_id, order.call_id, event, self._on_stored, memo=self._memo)

    def _memo(self) -> bytes:
        """Asked for when the event goes to the spool, by the spool's thread."""
        call = self._call
        return call.parts.admission.memo(call.call_id, self._amounts)

    def deliver(self) -> None:
        """The rest of the answer, once both sides are ready for it."""
        call = self._call
        if not self._is_stored or self._is_delivered or not call.upstream_is_over:
            return
        self._is_delivered = True
        call.parts.calls.discard(call)
        self._deliver()
        call.let_go()

    def give_up(self) -> None:
        """The end itself failed: no event was made or its answer could not be given; nothing may look complete."""
        call = self._call
        call.parts.calls.discard(call)
        if not self._is_stored:
            call.parts.admission.abandon(call.call_id)
        self._is_delivered = True
        self._break_off(_CUTS["internal"]())
        call.let_go()

    def _on_stored(self, is_stored: bool) -> None:  # noqa: FBT001  # the publisher's callback
        call = self._call
        try:
            if is_stored:
                self._is_stored = True
                call.parts.admission.settle_soon(call.call_id, self._amounts)
                self.deliver()
            else:
                self._not_stored()
        except Exception as error:  # noqa: BLE001  # the publisher serves other calls in the same turn
            call.crashed(error)

    def _not_stored(self) -> None:
        """Neither Kafka nor the spool: the sweeper will report the call, and nobody is told that it succeeded."""
        call = self._call
        self._is_delivered = True
        call.abandon_upstream()
        call.parts.calls.discard(call)
        call.parts.admission.abandon(call.call_id)
        self._break_off(unavailable("The call's usage could not be recorded; try again."))
        call.let_go()

    def _amounts_of(self, ending: Ending) -> Amounts:
        """What the hold becomes, by the ledger's own arithmetic."""
        order = self._call.order
        if ending.basis == "none":
            return NOTHING
        admitted, terms, model = order.admitted, order.terms, ending.model_served or order.choice.model
        usage = ending.usage()
        try:
            cost = total_of(order.book, usage, model=model, at=admitted.admitted_at)
        except RatingError as error:
            log.error("gateway.call_not_priced", call_id=str(order.call_id), reason=type(error).__name__)  # noqa: TRY400
            return admitted.amounts
        price_nano = price_of(cost, markup_bps=admitted.markup_bps)
        tokens = plan_tokens_of(usage, model=model, weights=terms.weights)
        counts = ending.counts
        overage_nano = terms.overage_nano(tokens=tokens, price_nano=price_nano)
        rate_tokens = counts.input_tokens + counts.cache_write_5m_tokens + counts.cache_write_1h_tokens
        return _new(Amounts, (price_nano, tokens, 1, overage_nano, rate_tokens, cost.nano))

    def _deliver(self) -> None:
        call = self._call
        progress, stream = call.progress, call.stream
        if stream is not None and stream.tee.terminal is not None:
            self._end_stream(stream.tee.rest())
        elif progress.cut is not None:
            self._break_off(_CUTS[progress.cut]())
        elif stream is not None:
            self._break_off(ModelApiError(500, "The provider's answer broke off."))
        elif progress.status is None or progress.broken is not None:
            self._break_off(overloaded("The provider does not answer; try again."))
        else:
            self._answer_whole(progress.status)

    def _end_stream(self, rest: bytes) -> None:
        call = self._call
        order = call.order
        if not order.exchange.started:
            call.start_answer()
        if order.surface.adds_to_answers:
            rest += order.surface.closing(
                order.ask, ending=self._ending, price_nano=self._amounts.credit_nano, balance_nano=self._balance_nano
            )
        order.exchange.finish(rest)

    def _answer_whole(self, status: int) -> None:
        call = self._call
        order, body = call.order, call.body
        if status in _OPERATORS_FAULT:
            log.error("gateway.provider_refused_our_credential", status=status, route=call.attempts.target.route)
            self._break_off(unavailable("The provider refuses the gateway's own account.", retry_after_s=30))
            return
        if status == _OPERATORS_RATE or 300 <= status < 400:
            wait_s = max(1, math.ceil(call.retry_after_s or 1))
            self._break_off(overloaded("The provider is overloaded; try again.", retry_after_s=wait_s))
            return
        if status == 200 and order.surface.adds_to_answers:
            body = order.surface.whole(
                order.ask,
                body,
                ending=self._ending,
                price_nano=self._amounts.credit_nano,
                balance_nano=self._balance_nano,
            )
        order.exchange.answer(status, call.answer_lines(status=status), body)

    @property
    def _balance_nano(self) -> int | None:
        """What is left, as far as the caller may know."""
        order = self._call.order
        if not order.may_see_balance:
            return None
        left_nano = order.admitted.left.credit_nano - self._amounts.credit_nano
        for one in order.admitted.allocation:
            if one.unit == "credit":
                left_nano += one.amount
        return left_nano

    def _break_off(self, error: ModelApiError) -> None:
        """End with an error of ours: never cleanly, so that nobody takes half an answer for a whole one."""
        call = self._call
        exchange, stream = call.order.exchange, call.stream
        if not exchange.started:
            refuse(call.order, error)
        elif stream is not None and stream.tee.between_events:
            exchange.finish(call.order.surface.error_event(error, exchange.request_id))
        else:
            exchange.abort()
