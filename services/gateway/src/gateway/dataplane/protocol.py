"""Reads requests whole, answers the model routes, leaves the rest to the ASGI app.

Every request head and body is framed here, strictly, before anything else sees a byte of it; uvicorn's own parser is
fed with single complete requests that have passed. One request runs at a time; what comes behind it is kept back.
"""

import functools
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

import httptools

from gateway.addresses import Network
from gateway.dataplane.body import BodyReader
from gateway.dataplane.connection import Connection, State
from gateway.dataplane.cors import Cors
from gateway.dataplane.exchange import Exchange
from gateway.dataplane.framing import CHUNKED, FramingError, Head, check_beginning, parse_head
from gateway.dataplane.front import Front, FrontLimits, ModelHandler, ModelRoutes, Route
from gateway.dataplane.problems import refusal
from gateway.dataplane.same_head import SameHead
from gateway.errors import ModelApiError
from kit import logging
from kit.guard import guarded

log = logging.get(__name__)

_HEAD: Final = State.HEAD
_BODY: Final = State.BODY
_RUNNING: Final = State.RUNNING
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_MOST_AT_ONCE: Final = 16
_MOST_KEPT_BYTES: Final = 1 << 20


class GatewayProtocol(Connection):
    """uvicorn makes one per connection, of a class that `protocol_class` has given a `front`."""

    # Reading

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state == _HEAD:
            if self._same is not None and not self._buffer and self._runs_as_before(self._same, data):
                return
            self._buffer = self._buffer + data if self._buffer else data
            self._advance()
        elif state == _BODY:
            self._on_body_bytes(data)
        elif state == _RUNNING:
            self._keep_back(data)
        else:
            self._throw_away(data)

    def _runs_as_before(self, same: SameHead, data: bytes) -> bool:
        """What nearly every read brings: the head of the request before, which is checked already, and its body."""
        front, route = self.front, self._same_route
        if front.closing or self.flow.write_paused or self._is_advancing or not same.begins(data):
            return False
        head = same.head
        begin = len(same.raw)
        if route is None or len(data) - begin != head.length:
            return False
        if head.length > (route.most_bytes or front.limits.model_body_bytes):
            return False
        self._head, self._route = head, route
        self._run(head, route, data[begin:])
        return True

    def _advance(self) -> None:
        """Read requests as long as there are whole ones and none is running."""
        if self._is_advancing:
            return
        self._is_advancing = True
        for _ in range(_MOST_AT_ONCE):
            if self._state != _HEAD or not self._buffer or self.flow.write_paused or not self._read_head():
                break
        else:
            # Other connections have their turn before the rest of a long pipeline.
            self.loop.call_soon(self._advance)
        self._is_advancing = False
        self._gate()

    def _gate(self) -> None:
        """Read on, unless the next requests are here already and have to wait."""
        if self._buffer and (self._state == _RUNNING or (self._state == _HEAD and self.flow.write_paused)):
            self.flow.hold()
        elif self.flow.held:
            self.flow.release()

    def _read_head(self) -> bool:
        """Whether a whole head was there, and was taken."""
        buffer = self._buffer
        self._head = self._route = None
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned_bytes - 3))
        try:
            if end < 0:
                self._wait_for_head(buffer)
                return False
            head = parse_head(buffer[:end], self.front.limits.head)
        except FramingError as error:
            self._refuse(refusal(error.status, error.message), reason="framing")
            return False
        self._is_used = True
        self._scanned_bytes = 0
        self.minor = head.minor
        self._begin(head, end + 4)
        return True

    def _wait_for_head(self, seen: bytes) -> None:
        if not self._scanned_bytes:
            self._since = self.front.now
        check_beginning(seen, self.front.limits.head, scanned=self._scanned_bytes)
        self._scanned_bytes = len(seen)

    def _begin(self, head: Head, end: int) -> None:
        """The head is fine: go on with the body, if there is one."""
        route = self.front.routes.find(head.path)
        self._head, self._route = head, route
        most_bytes = self._most_bytes(head, route)
        if head.length > most_bytes or self.front.closing or (route is not None and b"content-encoding" in head.fields):
            objection = self._objection(head, most_bytes)
            if objection is not None:
                self._refuse(objection, reason="limits")
                return
        buffer = self._buffer
        if route is None:
            self._raw_head = buffer[:end]
        elif head.length > 0 and not head.expects and b"content-encoding" not in head.fields:
            self._same, self._same_route = SameHead(buffer[:end], head), route
        after = end + head.length
        if head.length >= 0 and len(buffer) >= after:
            self._buffer = buffer[after:]
            self._run(head, route, buffer[end:after])
            return
        self._await_body(head, route, buffer[end:])

    def _await_body(self, head: Head, route: Route | None, begun: bytes) -> None:
        self._state = _BODY
        self._buffer = b""
        self._body = BodyReader(head.length, most_bytes=self._most_bytes(head, route), now=self.front.now)
        if begun:
            self._on_body_bytes(begun)
        elif head.expects:
            self.transport.write(_CONTINUE)

    def _objection(self, head: Head, most_bytes: int) -> ModelApiError | None:
        if self.front.closing:
            return refusal(503, "This server is shutting down; try again", retry_after_s=1)
        if head.length > most_bytes:
            return refusal(413, f"Request exceeds the maximum size of {most_bytes} bytes")
        if head.fields[b"content-encoding"].lower() != b"identity":
            return refusal(400, "content-encoding: send the body uncompressed")
        return None

    def _most_bytes(self, head: Head, route: Route | None) -> int:
        limits = self.front.limits
        if route is None:
            return limits.model_body_bytes if head.path in limits.model_bodies else limits.app_body_bytes
        return route.most_bytes or limits.model_body_bytes

    def _on_body_bytes(self, data: bytes) -> None:
        reader, head = self._body, self._head
        assert reader is not None
        assert head is not None
        try:
            rest = reader.feed(data, now=self.front.now)
        except FramingError as error:
            self._refuse(refusal(error.status, error.message), reason="framing")
            return
        if not self._count(len(data) - len(rest)):
            message = "Too many requests are being read; try again"
            self._refuse(refusal(503, message, retry_after_s=1), reason="bodies")
        elif reader.complete:
            self._body = None
            self._buffer = rest
            self._run(head, self._route, reader.whole())
            self._gate()

    def _keep_back(self, data: bytes) -> None:
        """The next request may come before this one is answered; it waits."""
        self._buffer += data
        self.flow.hold()
        if len(self._buffer) > _MOST_KEPT_BYTES:
            self.transport.abort()

    def _throw_away(self, data: bytes) -> None:
        self._thrown_bytes += len(data)
        if self._thrown_bytes > self.front.limits.linger_bytes:
            self.transport.abort()

    # Running

    def _run(self, head: Head, route: Route | None, body: bytes) -> None:
        self._state = _RUNNING
        if route is None:
            self._hand_on(head, body)
            return
        if body and not self._counted_bytes:
            self._count(len(body))
        path = unquote(head.path.decode("ascii")) if route.is_prefix else route.path
        peer = self._peer(head) if self.front.trusted_proxies else self._socket_peer
        exchange = self.exchange = Exchange(self, head, path=path, body=body, peer=peer)
        if self.flow.write_paused:
            exchange.paused = True
        handler = route.methods.get(head.method) or self._otherwise(head, route)
        guarded(handler, exchange, otherwise=self._on_handler_failed)

    def _otherwise(self, head: Head, route: Route) -> ModelHandler:
        """A method that the path does not know; browsers ask with OPTIONS whether they may."""
        if head.method == "OPTIONS" and self.front.cors is not None:
            return functools.partial(self.front.cors.preflight, methods=tuple(route.methods))
        return functools.partial(self._refuse_method, route)

    def _peer(self, head: Head) -> str:
        return self.front.peer(self._socket_peer, head.headers)

    def _refuse_method(self, route: Route, exchange: Exchange) -> None:
        allowed = ", ".join(route.methods)
        error = ModelApiError(405, f"Method not allowed; use {allowed}", headers={"allow": allowed})
        exchange.refuse(self.front.routes.error(exchange.path, error))

    def _on_handler_failed(self, error: Exception) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        if exchange.started:
            exchange.abort()
            return
        if not isinstance(error, ModelApiError):
            error = ModelApiError(500, "Something went wrong on our side; it has been recorded.")
        exchange.refuse(self.front.routes.error(exchange.path, error))

    def _hand_on(self, head: Head, body: bytes) -> None:
        """Give one whole request to the ASGI app, through uvicorn's own code."""
        if self.front.trusted_proxies:
            self.client = (self._peer(head), 0)
        self._is_fed_whole = False
        cycle_before = self.cycle
        try:
            self.parser.feed_data(self._raw_head)
            if head.length == CHUNKED:
                # As one chunk: trailers were dropped, and how it was cut says nothing to an app.
                sized = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
                self.parser.feed_data(sized + b"0\r\n\r\n")
            elif body:
                self.parser.feed_data(body)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._is_fed_whole = False
        if self._is_fed_whole:
            self._uncount()
        elif self.cycle is cycle_before:
            self._refuse(refusal(400, "The request is malformed"), reason="framing")
        else:
            # The two parsers disagree about where the request ends: nobody may go on here.
            log.error("gateway.framing_disputed")
            self.transport.abort()

    # What uvicorn's part calls

    def on_headers_complete(self) -> None:
        # A body that was awaited is here already.
        self.expect_100_continue = False
        super().on_headers_complete()
        if self._head is None or not self._head.keep_alive:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._is_fed_whole = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._state = State.ENDING
            self._since = self.front.now
        else:
            # uvicorn stops reading for a large body; an app that answers without asking for it never starts it again.
            self.flow.resume_reading()
            self._next(keep_alive=self.cycle.keep_alive)


def protocol_class(
    routes: ModelRoutes,
    limits: FrontLimits | None = None,
    *,
    cors: Cors | None = None,
    trusted_proxies: Sequence[Network] = (),
) -> type[GatewayProtocol]:
    """The class to hand to uvicorn as `http`."""
    front = Front(routes, limits or FrontLimits(), cors=cors, trusted_proxies=trusted_proxies)
    return type("BoundGatewayProtocol", (GatewayProtocol,), {"front": front})
