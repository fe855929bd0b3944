"""The life of one client connection: how long it may wait, what it may hold, how it ends."""

import asyncio
import socket
import struct
from enum import IntEnum
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import metrics
from gateway.dataplane.body import BodyReader
from gateway.dataplane.exchange import Exchange
from gateway.dataplane.framing import Head, asked_path
from gateway.dataplane.front import Front, Route
from gateway.dataplane.problems import answer_problem, refusal
from gateway.dataplane.same_head import SameHead
from gateway.errors import ModelApiError
from kit import logging

log = logging.get(__name__)

_RESET: Final = struct.pack("ii", 1, 0)


class State(IntEnum):
    """What a connection does now."""

    HEAD = 0  # idle, or a head is being read
    BODY = 1
    RUNNING = 2
    ENDING = 3  # answered for good; what still comes is thrown away


class Flow(FlowControl):
    """uvicorn's flow control, which an ASGI app resumes whenever it asks for more; not while requests are kept back."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self.held = False

    def hold(self) -> None:
        self.held = True
        self.pause_reading()

    def release(self) -> None:
        self.held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """Everything but reading; `GatewayProtocol` reads."""

    front: Front

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.minor = 1
        self.exchange: Exchange | None = None
        self._state = State.HEAD
        self._buffer = b""
        self._scanned_bytes = 0
        self._raw_head = b""
        self._head: Head | None = None
        self._route: Route | None = None
        self._same: SameHead | None = None
        self._same_route: Route | None = None
        self._body: BodyReader | None = None
        self._counted_bytes = 0
        self._thrown_bytes = 0
        self._since = 0.0
        self._unsent_bytes = 0
        self._is_advancing = False
        self._is_fed_whole = False
        self._is_used = False
        self._is_unread = False
        self._socket_peer = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self.flow: Flow = Flow(transport)
        self._socket_peer = self.client[0] if self.client else ""
        self.front.opened(self, self.loop)
        self._since = self.front.now
        if self.front.is_full:
            self._refuse(refusal(503, "Too many connections are open", retry_after_s=1), reason="connections")

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = State.ENDING
        self._buffer = b""
        self._body = None
        self._uncount()
        self.front.closed(self)
        super().connection_lost(exc)
        self._lose_exchange()

    def pause_writing(self) -> None:
        self.flow.pause_writing()
        self._since = self.front.now
        self._unsent_bytes = self.transport.get_write_buffer_size()
        if self.exchange is not None:
            self.exchange.paused = True

    def resume_writing(self) -> None:
        self.flow.resume_writing()
        self._since = self.front.now
        exchange = self.exchange
        if exchange is None:
            self._advance()
            return
        exchange.paused = False
        if exchange.watcher is not None:
            exchange.watcher.on_resume()

    def shutdown(self) -> None:
        """What runs may end; what is idle ends now; what still comes is told to go elsewhere."""
        self.front.closing = True
        if self._state == State.RUNNING and self.exchange is None:
            self.cycle.keep_alive = False
        elif self._state == State.ENDING or (self._state == State.HEAD and not self._buffer):
            self.transport.close()

    def check(self, now: float) -> None:
        """What takes too long ends; called every few moments."""
        limits = self.front.limits
        waited_s = now - self._since
        if self._state == State.BODY:
            self._check_body(now)
        elif self.flow.write_paused or (self._state == State.ENDING and self.transport.get_write_buffer_size()):
            self._check_progress(now)
        elif self._state == State.ENDING:
            if waited_s > limits.linger_s:
                self.transport.abort()
        elif self._state == State.HEAD and self._buffer:
            if waited_s > limits.head_s:
                message = f"The request's head did not arrive within {limits.head_s:g} s"
                self._refuse(refusal(408, message), reason="slow")
        elif self._state == State.HEAD and waited_s > (limits.idle_s if self._is_used else limits.head_s):
            self._end()

    def _advance(self) -> None:
        raise NotImplementedError

    # What an exchange calls

    def on_exchange_finished(self, *, keep_alive: bool) -> None:
        self.exchange = None
        self.server_state.total_requests += 1
        if self._counted_bytes:
            self.front.bodies_bytes -= self._counted_bytes
            self._counted_bytes = 0
        self._next(keep_alive=keep_alive)

    def on_exchange_aborted(self, *, hard: bool) -> None:
        self.exchange = None
        self._uncount()
        self._state = State.ENDING
        self._since = self.front.now
        if hard:
            # Or the end would look like that of a complete answer.
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self.transport.close()

    def on_body_dropped(self) -> None:
        self._uncount()

    # Ending

    def _next(self, *, keep_alive: bool) -> None:
        if not keep_alive or self.front.closing:
            self._end()
            return
        self._state = State.HEAD
        self._since = self.front.now
        if self._buffer or self.flow.held:
            self._advance()

    def _end(self) -> None:
        """Close; where the client may still be sending, let it read the answer before."""
        is_unread = self._is_unread or bool(self._buffer)
        self._state = State.ENDING
        self._since = self.front.now
        self._buffer = b""
        self._body = None
        self._uncount()
        if is_unread and self.transport.can_write_eof():
            self.flow.release()
            self.transport.write_eof()
        else:
            self.transport.close()

    def _refuse(self, error: ModelApiError, *, reason: str) -> None:
        """Answer, and read nothing more from this connection."""
        metrics.REQUESTS_REFUSED.labels(reason).inc()
        asked = self._head or Head("GET", asked_path(self._buffer), b"", 1)
        route = self.front.routes.find(asked.path)
        self._state = State.ENDING
        self._is_unread = True
        asked.keep_alive = False
        exchange = Exchange(self, asked, path=asked.path.decode("ascii"), body=b"", peer=self._socket_peer)
        if not asked.path or route is not None or exchange.path.startswith("/v1/"):
            exchange.refuse(self.front.routes.error(exchange.path, error))
        else:
            answer_problem(exchange, error)

    def _lose_exchange(self) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.lost()

    def _check_body(self, now: float) -> None:
        limits, reader = self.front.limits, self._body
        assert reader is not None
        complaint = reader.complaint(
            now,
            silence_s=limits.body_silence_s,
            grace_s=limits.body_grace_s,
            bytes_per_s=limits.body_bytes_per_s,
        )
        if complaint is not None:
            self._refuse(refusal(408, complaint), reason="slow")

    def _check_progress(self, now: float) -> None:
        """One that keeps its connection and does not read is as good as gone."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes < self._unsent_bytes:
            self._since = now
        self._unsent_bytes = unsent_bytes
        if now - self._since > self.front.limits.stall_s:
            log.warning("gateway.client_stalled")
            self.transport.abort()
            self._lose_exchange()

    def _count(self, size_bytes: int) -> bool:
        self._counted_bytes += size_bytes
        self.front.bodies_bytes += size_bytes
        return self.front.bodies_bytes <= self.front.limits.bodies_bytes

    def _uncount(self) -> None:
        self.front.bodies_bytes -= self._counted_bytes
        self._counted_bytes = 0
