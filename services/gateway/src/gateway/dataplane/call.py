"""An admitted call, from its journal entry to its one usage event: a state machine on callbacks, nothing waits.

The answer's read belongs to the call, not to the client's connection: whoever leaves, it reads on to the provider's
final count, or to the limit that the plan sets.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from gateway.dataplane import call_metrics
from gateway.dataplane.answer_head import answer_lines
from gateway.dataplane.attempts import Attempts, outcome_of, retry_after_of
from gateway.dataplane.call_parts import CallParts
from gateway.dataplane.conclusion import Conclusion
from gateway.dataplane.elastic import ElasticHold
from gateway.dataplane.faults import record_fault
from gateway.dataplane.order import Order
from gateway.dataplane.refusing import refuse
from gateway.dataplane.request_head import request_for
from gateway.dataplane.stream import MOST_HELD_BYTES, Stream
from gateway.dataplane.upstream_request import Fetch
from gateway.errors import unavailable
from gateway.headers import Header
from gateway.usage.ending import Cut, Progress
from kit import logging

log = logging.get(__name__)

Step = TypeVar("Step", bound=Callable[..., None])

_MOST_MESSAGE_BYTES: Final = 64 << 20
_MOST_ERROR_BYTES: Final = 1 << 20
_AFTER_STOP_S: Final = 2.0


def guarded(step: Step) -> Step:
    """A fault of ours in any step ends the call with an event, and is logged: it never just stops."""

    @wraps(step)
    def run(call: "Call", /, *args: Any) -> None:
        try:
            step(call, *args)
        except Exception as error:  # noqa: BLE001  # whatever it is, the call must have its one ending
            call.crashed(error)

    return cast("Step", run)


class Call:
    """Begun once; `stop` ends it early from outside. Its methods stand in the order in which a call meets them."""

    __slots__ = (
        "_body_bytes",
        "_fetch",
        "_limit_s",
        "_parts_of_body",
        "answer_headers",
        "attempts",
        "body",
        "call_id",
        "conclusion",
        "is_ending",
        "order",
        "parts",
        "progress",
        "stream",
        "upstream_is_over",
    )

    def __init__(self, parts: CallParts, order: Order) -> None:
        self.parts = parts
        self.order = order
        self.call_id: UUID = order.call_id
        self.progress = Progress(sent=False)
        self.attempts = Attempts(order.choice.targets, parts.routing)
        self.stream: Stream | None = None
        self.body = b""
        self.answer_headers: list[Header] = []
        self.conclusion: Conclusion | None = None
        self.is_ending = False
        self.upstream_is_over = True
        self._parts_of_body: list[bytes] = []
        self._body_bytes = 0
        self._fetch: Fetch | None = None
        self._limit_s: float | None = None

    @property
    def retry_after_s(self) -> float | None:
        """How long the provider asks to be left alone."""
        return retry_after_of(self.answer_headers)

    def begin(self) -> None:
        """Written down first, so that a crash cannot hide it (money.md 11)."""
        try:
            order = self.order
            self.parts.calls.add(self)
            order.exchange.watcher = self
            self.parts.journal.admitted_soon(order.admitted, report=order.report, then=self._journalled)
        except Exception as error:  # noqa: BLE001  # as in `guarded`, at half its cost
            self.crashed(error)

    def _journalled(self, failure: Exception | None) -> None:
        try:
            if self.is_ending:
                return
            if failure is not None:
                self._never_began()
            elif self.order.exchange.gone:
                self.stop("client_gone")
            else:
                self._attempt()
        except Exception as error:  # noqa: BLE001  # as in `guarded`, at half its cost
            self.crashed(error)

    def _never_began(self) -> None:
        """It could not be written down, so it may not run: what it holds is given back."""
        order = self.order
        order.exchange.watcher = None
        self.parts.calls.discard(self)
        self.parts.admission.never_began(self.call_id, account_id=order.facts.account_id)
        refuse(order, unavailable("Calls cannot be recorded at the moment; try again."))

    def _attempt(self) -> None:
        """Send it to the next target; nothing of an earlier one is left."""
        order, progress, target = self.order, self.progress, self.attempts.advance()
        if progress.sent:
            self._forget_attempt()
        progress.sent = True
        progress.attempts = self.attempts.count
        self.upstream_is_over = False
        body = order.surface.splice(
            order.ask,
            model=order.choice.spliced_for(target),
            max_tokens=order.estimate.clamped_max_tokens,
            service_tier=target.service_tier,
        )
        request = request_for(order, target, body)
        self._fetch = self.parts.upstream.paid(target, request, ticket=order.admitted, sink=self)

    def _forget_attempt(self) -> None:
        progress = self.progress
        progress.status = progress.upstream_request_id = progress.broken = progress.seen = progress.error_type = None
        progress.error_event = progress.has_content = False
        progress.delivered_tokens = 0
        self.stream = None
        self.body = b""
        self._parts_of_body = []
        self._body_bytes = 0

    def on_head(self, status: int, headers: list[Header]) -> None:
        try:
            self.progress.status = status
            self.answer_headers = headers
            call_metrics.upstream_answered(status)
            content_type = b""
            for name, value in headers:
                if name == b"content-type":
                    content_type = value
                elif name in {b"request-id", b"x-request-id"}:
                    self.progress.upstream_request_id = value.decode("latin-1")
            if status == 200 and content_type.startswith(b"text/event-stream"):
                self._begin_stream()
        except Exception as error:  # noqa: BLE001  # as in `guarded`, at half its cost
            self.crashed(error)

    def on_bytes(self, data: bytes) -> None:
        try:
            stream = self.stream
            if stream is None:
                self._collect(data)
                return
            stream.feed(data, self.parts.calls.ticked_s)
            tee = stream.tee
            if tee.terminal is not None:
                self._saw_terminal(stream)
        except Exception as error:  # noqa: BLE001  # as in `guarded`, at half its cost
            self.crashed(error)

    def on_end(self) -> None:
        try:
            self._fetch = None
            self.upstream_is_over = True
            if self.is_ending:
                self._deliver()
            elif self.stream is not None:
                self._fail_over_or_conclude()
            else:
                self._read_whole()
        except Exception as error:  # noqa: BLE001  # as in `guarded`, at half its cost
            self.crashed(error)

    @guarded
    def on_broken(self, kind: str) -> None:
        self._fetch = None
        self.upstream_is_over = True
        if self.is_ending:
            self._deliver()
            return
        self.progress.broken = kind
        self._fail_over_or_conclude()

    @guarded
    def on_gone(self) -> None:
        """The client has left: drain or cancel, as its plan says."""
        progress = self.progress
        if progress.client_gone or self.is_ending:
            return
        progress.client_gone = True
        if self.order.terms.terms.on_client_gone == "cancel" or not progress.sent:
            self.stop("client_gone")
            return
        self._limit_s = self.parts.clock.monotonic() + self.parts.drain_s
        if self.stream is not None:
            self.stream.read_on_alone()

    @guarded
    def on_resume(self) -> None:
        if self.stream is not None:
            self.stream.go_on()

    @guarded
    def tick(self, now: float) -> None:
        if self._limit_s is not None and now >= self._limit_s:
            self._limit_s = None
            self._reached_limit()
        elif self.stream is not None and not self.is_ending:
            self.stream.tick(now)

    @guarded
    def stop(self, cut: Cut) -> None:
        """End the call at once; what was delivered is charged."""
        if not self.is_ending:
            self.progress.cut = cut
            self.abandon_upstream()
            self._conclude()

    def crashed(self, error: Exception) -> None:
        """A step of ours threw: the call ends here, with its event if that can still be made."""
        record_fault("gateway.call_died", error, call_id=str(self.call_id))
        if not self.is_ending:
            self.stop("internal")
        else:
            self.abandon_upstream()
            if self.conclusion is not None:
                self.conclusion.give_up()

    def _begin_stream(self) -> None:
        order, parts = self.order, self.parts
        stream = self.stream = Stream(
            order.exchange,
            order.surface.stream_tee(order.ask),
            ping=order.surface.ping,
            ping_after_s=parts.ping_after_s,
            start=self.start_answer,
            now=parts.clock.monotonic(),
        )
        elastic = None
        if order.is_elastic:
            elastic = ElasticHold(
                parts.admission,
                order.call_id,
                order.estimate,
                step_tokens=order.terms.terms.elastic_step_tokens,
                on_more=self.on_resume,
                on_end=self.stop,
            )
        assert self._fetch is not None
        stream.attach(self._fetch, elastic)

    def start_answer(self, first: bytes = b"") -> None:
        """The first bytes go out: from here on no other target can answer."""
        self.attempts.report("ok")
        self.note_first_byte()
        self.order.release_body()
        self.order.exchange.start(200, self.answer_lines(), first=first)

    def answer_lines(self, *, status: int = 200) -> bytes:
        """The provider's headers that may pass, and ours."""
        parts = self.parts
        now_s = (self.progress.first_byte_at or parts.clock.now()).timestamp()
        return answer_lines(self.order, self.answer_headers, limits=parts.limits, now_s=now_s, status=status)

    def note_first_byte(self) -> None:
        if self.progress.first_byte_at is None:
            clock, order = self.parts.clock, self.order
            self.progress.first_byte_at = clock.now()
            call_metrics.first_byte(streamed=order.ask.streamed, began_s=order.began_s, now_s=clock.monotonic())

    def _collect(self, data: bytes) -> None:
        self._parts_of_body.append(data)
        self._body_bytes += len(data)
        most_bytes = _MOST_MESSAGE_BYTES if self.progress.status == 200 else _MOST_ERROR_BYTES
        if self._body_bytes > most_bytes:
            self.abandon_upstream()
            self.progress.broken = "AnswerTooLarge"
            self._fail_over_or_conclude()

    def _saw_terminal(self, stream: Stream) -> None:
        """Nothing that follows changes the counts: the event is stored while the connection comes to its end."""
        if not self.is_ending:
            if stream.tee.terminal == "error" and not self.order.exchange.started:
                self._fail_over_or_conclude()
                if not self.is_ending:
                    return
            else:
                self._conclude()
            self._limit_s = self.parts.clock.monotonic() + _AFTER_STOP_S
        if stream.tee.held_bytes > MOST_HELD_BYTES and not self.upstream_is_over:
            self._reached_limit()

    def _read_whole(self) -> None:
        """A whole body: the message, or what the provider has against it."""
        progress = self.progress
        self.body = b"".join(self._parts_of_body)
        self._parts_of_body = []
        assert progress.status is not None
        if progress.status == 200:
            tee = self.order.surface.message_tee(self.order.ask, self.body)
            progress.seen = tee.seen
            progress.has_content = tee.has_content
            progress.delivered_tokens = tee.delivered_tokens
            progress.complete = tee.is_message
            progress.broken = None if tee.is_message else "UnreadableAnswer"
        if progress.complete:
            self.attempts.report("ok")
            self.note_first_byte()
            self._conclude()
        elif outcome_of(progress.status) == "client_fault":
            self.attempts.report("client_fault")
            self._conclude()
        else:
            self._fail_over_or_conclude()

    def _fail_over_or_conclude(self) -> None:
        """The target did not serve. Another may, as long as the client has seen nothing of this one."""
        status = self.progress.status
        failed = status is None or status == 200
        self.attempts.report("failed" if failed else outcome_of(status or 0), self.retry_after_s)
        exchange = self.order.exchange
        if exchange.started or self.progress.client_gone or not self.attempts.has_more:
            self._conclude()
            return
        self.abandon_upstream()
        call_metrics.FAILED_OVER.inc()
        self._attempt()

    def _reached_limit(self) -> None:
        """The client's drain, or the provider's time to close after its last event, is over."""
        self.abandon_upstream()
        if self.is_ending:
            self._deliver()
        else:
            self.progress.cut = "client_gone"
            self._conclude()

    def abandon_upstream(self) -> None:
        self.upstream_is_over = True
        if self._fetch is not None:
            fetch, self._fetch = self._fetch, None
            fetch.cancel()

    def _conclude(self) -> None:
        if self.is_ending:
            return
        self.is_ending = True
        if self.stream is not None:
            _note_stream(self.stream, self.progress)
        self._limit_s = None
        conclusion = self.conclusion = Conclusion(self)
        conclusion.begin()

    def _deliver(self) -> None:
        if self.conclusion is not None:
            self.conclusion.deliver()

    def let_go(self) -> None:
        """All is said: what refers to the call is dropped, so that it is gone without the collector of cycles."""
        self.conclusion = None
        self.stream = None


def _note_stream(stream: Stream, progress: Progress) -> None:
    tee = stream.tee
    progress.seen = tee.seen
    progress.has_content = tee.has_content
    progress.delivered_tokens = tee.delivered_tokens
    progress.complete = tee.terminal == "stop"
    progress.error_event = tee.terminal == "error"
    progress.error_type = tee.error_type
