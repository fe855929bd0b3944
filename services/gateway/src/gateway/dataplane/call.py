"""One admitted call from dispatch to its one usage event.

The pump belongs to the call, not to the client's connection: whoever leaves, it reads on to the provider's final count.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from gateway import metrics
from gateway.admission.types import Admitted
from gateway.dataplane.ask import Ask
from gateway.dataplane.bounds import likely_tokens
from gateway.dataplane.client import Client
from gateway.dataplane.tee import MessageTee, StreamTee
from gateway.dataplane.upstream import Upstream, UpstreamAnswer, UpstreamError, UpstreamRequest
from gateway.errors import ModelApiError, overloaded, unavailable
from gateway.headers import Header, to_client
from gateway.usage.ending import Cut, Ending, Progress, ending_of, price_of_ending
from gateway.usage.publisher import UsagePublisher
from gateway.usage.report import CallReport, usage_event
from kit import logging
from kit.clock import Clock
from kit.tokens import Caller
from rating import PriceBook, RatingError

log = logging.get(__name__)

_MOST_MESSAGE_BYTES: Final = 64 << 20
_MOST_ERROR_BYTES: Final = 1 << 20
_MOST_HELD_BYTES: Final = 1 << 16
_AFTER_STOP_S: Final = 2.0
_SETTLE_WAIT_S: Final = 0.25
# The provider's word on the operator's own credential or bill is not about the client's.
_OPERATORS_FAULT: Final = frozenset({401, 402})
_CUT_MESSAGES: Final[dict[Cut, str]] = {
    "shutdown": "The gateway is restarting; try again.",
    "swept": "The call took longer than its hold lasts.",
    "client_gone": "The client has left.",
}


class Settlement(Protocol):
    """The part of admission that a call needs at its end."""

    async def settle(self, *, account_id: UUID, call_id: UUID, price_nano: int) -> object:
        """The hold becomes the price; never raises."""
        ...

    def abandon(self, call_id: UUID) -> None:
        """The call's end could not be stored: its hold is left to the sweeper."""
        ...


@dataclass(frozen=True, slots=True)
class CallParts:
    """What all calls of a process share."""

    upstream: Upstream
    publisher: UsagePublisher
    settlement: Settlement
    clock: Clock
    drain_s: float


@dataclass(frozen=True, slots=True)
class Order:
    """An admitted call: who, what, and at which prices."""

    caller: Caller
    ask: Ask
    book: PriceBook
    admitted: Admitted
    report: CallReport


class Call:
    """Runs once; `stop` ends it early from outside."""

    def __init__(self, parts: CallParts, order: Order, client: Client) -> None:
        self._parts = parts
        self._order = order
        self._client = client
        self._progress = Progress()
        self._limit: asyncio.Timeout | None = None
        self._tee: StreamTee | None = None
        self._body = b""
        self._answer_headers: list[Header] = []
        self._first_byte_at: datetime | None = None
        self._began_s = parts.clock.monotonic()

    @property
    def call_id(self) -> UUID:
        return self._order.admitted.call_id

    def stop(self, cut: Cut) -> None:
        """End the call at once; what was delivered is charged."""
        if self._progress.cut is None:
            self._progress.cut = cut
            self._limit_to(0.0)

    async def run(self) -> None:
        self._client.watch()
        leaving = asyncio.create_task(self._drain_when_client_leaves())
        try:
            await self._pump()
            await self._conclude()
        finally:
            # A hold that is settled by now is not touched; one whose call died here must not be kept alive for ever.
            self._parts.settlement.abandon(self.call_id)
            leaving.cancel()
            self._client.close()

    async def _drain_when_client_leaves(self) -> None:
        await self._client.gone.wait()
        self._progress.client_gone = True
        self._limit_to(self._parts.drain_s)

    def _limit_to(self, seconds: float) -> None:
        if self._limit is None:
            return
        when = asyncio.get_running_loop().time() + seconds
        current = self._limit.when()
        if current is None or when < current:
            self._limit.reschedule(when)

    async def _pump(self) -> None:
        try:
            async with asyncio.timeout(None) as self._limit:
                await self._exchange()
        except TimeoutError:
            self._note_limit()
        except UpstreamError as error:
            self._progress.broken = error.kind
        finally:
            self._limit = None
        if self._tee is not None:
            self._note_stream(self._tee)

    def _note_limit(self) -> None:
        progress = self._progress
        ended = progress.complete or progress.error_event
        if progress.client_gone and progress.cut is None and not ended:
            progress.cut = "client_gone"

    async def _exchange(self) -> None:
        if self._progress.cut is not None:
            return
        client, ask = self._client, self._order.ask
        request = UpstreamRequest("POST", "/v1/messages", client.query, client.headers, ask.raw)
        async with self._parts.upstream.paid(request, ticket=self._order.admitted) as answer:
            self._progress.status = answer.status
            self._progress.upstream_request_id = answer.request_id
            self._answer_headers = self._headers_for_client(answer)
            metrics.UPSTREAM_STATUS.labels(str(answer.status)).inc()
            if answer.status != 200:
                self._body = await answer.read_all(most_bytes=_MOST_ERROR_BYTES)
            elif answer.is_event_stream:
                await self._stream(answer)
            else:
                await self._message(answer)

    async def _stream(self, answer: UpstreamAnswer) -> None:
        tee = self._tee = StreamTee()
        await self._client.start(200, self._answer_headers)
        while chunk := await answer.read():
            out = tee.feed(chunk)
            if out:
                self._note_first_byte()
                await self._client.write(out)
            if tee.terminal is not None:
                self._note_stream(tee)
                self._limit_to(_AFTER_STOP_S)
                if tee.held_bytes > _MOST_HELD_BYTES:
                    return

    async def _message(self, answer: UpstreamAnswer) -> None:
        self._body = await answer.read_all(most_bytes=_MOST_MESSAGE_BYTES)
        tee = MessageTee(self._body)
        self._progress.seen = tee.seen
        self._progress.has_content = tee.has_content
        self._progress.complete = tee.is_message
        self._progress.broken = None if tee.is_message else "UnreadableAnswer"
        self._note_first_byte()

    def _note_stream(self, tee: StreamTee) -> None:
        progress = self._progress
        progress.seen = tee.seen
        progress.has_content = tee.has_content
        progress.delivered_tokens = tee.delivered_tokens
        progress.complete = tee.terminal == "stop"
        progress.error_event = tee.terminal == "error"
        progress.error_type = tee.error_type

    def _note_first_byte(self) -> None:
        if self._first_byte_at is None:
            self._first_byte_at = self._parts.clock.now()
            elapsed_s = self._parts.clock.monotonic() - self._began_s
            metrics.FIRST_BYTE_SECONDS.labels(str(self._order.ask.streamed).lower()).observe(elapsed_s)

    async def _conclude(self) -> None:
        ending = self._ending()
        metrics.CALLS.labels(ending.outcome, ending.basis).inc()
        event = usage_event(
            self._order.report,
            self._order.admitted,
            ending,
            self._progress,
            account_id=self._order.caller.account_id,
            instance=self._parts.publisher.instance,
            first_byte_at=self._first_byte_at,
            ended_at=self._parts.clock.now(),
        )
        if not await self._parts.publisher.store(event):
            await self._break_off(unavailable("The call's usage could not be recorded; try again."))
            return
        settling = asyncio.create_task(self._settle(ending))
        # A client that calls again at once should find the price, not the hold; a slow Redis must not hold the answer.
        await asyncio.wait({settling}, timeout=_SETTLE_WAIT_S)
        await self._deliver()
        await settling

    def _ending(self) -> Ending:
        book = self._order.book
        ending = ending_of(
            self._progress,
            model_asked=self._order.ask.model,
            likely_input_tokens=likely_tokens(self._order.ask.raw),
            is_priced=book.rates.__contains__,
        )
        named = self._progress.seen.serving_model() if self._progress.seen else None
        if named is not None and named not in book.rates:
            log.error("gateway.served_model_not_priced", call_id=str(self.call_id), model=named[:100])
        return ending

    async def _settle(self, ending: Ending) -> None:
        order = self._order
        try:
            price_nano = price_of_ending(
                ending,
                book=order.book,
                model=order.ask.model,
                at=order.admitted.admitted_at,
                markup_bps=order.admitted.markup_bps,
            )
        except RatingError as error:
            log.error("gateway.call_not_priced", call_id=str(self.call_id), reason=type(error).__name__)  # noqa: TRY400  # a trace says no more
            price_nano = order.admitted.reserved_nano
        await self._parts.settlement.settle(
            account_id=order.caller.account_id, call_id=self.call_id, price_nano=price_nano
        )

    async def _deliver(self) -> None:
        """The ending, now that the event is stored."""
        progress = self._progress
        if self._tee is not None and self._tee.terminal is not None:
            await self._client.finish(self._tee.rest())
        elif progress.cut is not None:
            await self._break_off(unavailable(_CUT_MESSAGES[progress.cut]))
        elif self._tee is not None:
            await self._break_off(ModelApiError(500, "The provider's answer broke off."))
        elif progress.broken is not None:
            await self._break_off(overloaded("The provider does not answer; try again."))
        elif progress.status in _OPERATORS_FAULT:
            log.error("gateway.provider_refused_our_credential", status=progress.status)
            await self._break_off(unavailable("The provider refuses the gateway's own account.", retry_after_s=30))
        else:
            await self._client.answer(progress.status or 502, self._answer_headers, self._body)

    async def _break_off(self, error: ModelApiError) -> None:
        """End with an error of ours: never cleanly, so that nobody takes half an answer for a whole one."""
        if not self._client.started:
            error.headers["faregate-request-id"] = str(self.call_id)
            await self._client.refuse(error)
        elif self._tee is None or self._tee.between_events:
            await self._client.finish(error.event(self._client.request_id))
        # Else inside an event: returning without an end makes the server close the connection.

    def _headers_for_client(self, answer: UpstreamAnswer) -> list[Header]:
        headers = to_client(answer.headers)
        if not any(name.lower() == b"cache-control" for name, _ in headers):
            headers.append((b"cache-control", b"no-store"))
        return [
            *headers,
            (b"faregate-request-id", str(self.call_id).encode()),
            (b"x-accel-buffering", b"no"),
        ]
