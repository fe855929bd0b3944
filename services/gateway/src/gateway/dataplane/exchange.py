"""The client's side of one request: what was asked, and how its answer leaves. Nothing here waits."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

from gateway.dataplane.framing import Head
from gateway.errors import ModelApiError
from gateway.headers import Header

if TYPE_CHECKING:
    from gateway.dataplane.connection import Connection

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
} | {529: b"HTTP/1.1 529 Overloaded\r\n"}
_BODILESS: Final = frozenset({204, 304})
_WITH_BODY: Final = frozenset(_STATUS_LINES) - _BODILESS

# Pairs, or the very lines of an answer's head, which whoever made them has kept free of line breaks in between.
Headers = Iterable[Header] | bytes

# How the body leaves, chosen by `start`.
_CHUNKED: Final = 0
_SIZED: Final = 1
_UNTIL_CLOSE: Final = 2
_NO_BODY: Final = 3


class Watcher(Protocol):
    """Whoever wants to know how the client does while it is answered."""

    def on_gone(self) -> None: ...

    def on_resume(self) -> None:
        """The client reads again."""
        ...


class Exchange:
    """One request, read whole, and its answer. Writing to a client that is gone does nothing."""

    __slots__ = (
        "_connection",
        "_fields",
        "_left",
        "_request_id",
        "_way",
        "body",
        "facts",
        "gone",
        "headers",
        "keep_alive",
        "method",
        "path",
        "paused",
        "peer",
        "query",
        "started",
        "watcher",
    )

    def __init__(self, connection: "Connection", head: Head, *, path: str, body: bytes, peer: str) -> None:
        self._connection: Connection | None = connection
        self.method = head.method
        self.path = path
        self.query = head.query
        self.headers = head.headers
        self._fields = head.fields
        self.facts = head.facts
        self.body = body
        self.peer = peer
        self.keep_alive = head.keep_alive
        self._request_id: str | None = None
        self.started = False
        self.gone = False
        self.paused = False
        self.watcher: Watcher | None = None

    @property
    def request_id(self) -> str:
        if self._request_id is None:
            self._request_id = f"req_{uuid4().hex}"
        return self._request_id

    @request_id.setter
    def request_id(self, value: str) -> None:
        self._request_id = value

    @property
    def finished(self) -> bool:
        """Whether the answer is complete, cut off, or without anybody to read it."""
        return self._connection is None

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header; `name` in lower case."""
        return self._fields.get(name)

    def start(self, status: int, headers: Headers, *, length: int | None = None, first: bytes = b"") -> None:
        """Begin the answer; without a `length` the body is chunked. `first` leaves with the head, in one write."""
        connection = self._connection
        if connection is None:
            return
        assert not self.started
        self.started = True
        head = self._head(connection, status, headers, length)
        if first and self._way == _CHUNKED:
            connection.transport.write(b"%b%x\r\n%b\r\n" % (head, len(first), first))
            return
        connection.transport.write(head)
        self.write(first)

    def write(self, data: bytes) -> None:
        """A part of the body."""
        connection = self._connection
        if connection is None or not data:
            return
        if self._way == _CHUNKED:
            connection.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._write_plain(connection, data)

    def finish(self, data: bytes = b"") -> None:
        """The last part of the body, and the end of the exchange."""
        connection = self._connection
        if connection is None:
            return
        if self._way == _CHUNKED:
            if data:
                connection.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
            else:
                connection.transport.write(b"0\r\n\r\n")
        elif data:
            self._write_plain(connection, data)
        self._connection = None
        self.watcher = None
        # Fewer bytes than announced: only a closed connection tells the client.
        connection.on_exchange_finished(keep_alive=self.keep_alive and not (self._way == _SIZED and self._left))

    def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer in one write."""
        connection = self._connection
        if connection is None:
            return
        assert not self.started
        self.started = True
        if self._is_ordinary(connection, status):
            front = connection.front
            parts = (_STATUS_LINES[status], front.standing_of(connection), _rendered(headers), len(body), body)
            connection.transport.write(b"%b%b%bcontent-length: %d\r\n\r\n%b" % parts)
        else:
            head = self._head(connection, status, headers, len(body))
            connection.transport.write(head if self._way == _NO_BODY else head + body)
        self._connection = None
        self.watcher = None
        connection.on_exchange_finished(keep_alive=self.keep_alive)

    def refuse(self, error: ModelApiError) -> None:
        """Answer with an error, in the envelope that it carries."""
        if self._connection is None:
            return
        self.answer(error.status, refusal_headers(error, self.request_id), error.body(self.request_id))

    def abort(self) -> None:
        """Close the connection without a clean end: the client sees that the answer is cut off."""
        connection = self._connection
        if connection is None:
            return
        self._connection = None
        self.watcher = None
        # Where the end of the connection is the end of the body, only a reset says that it is not.
        connection.on_exchange_aborted(hard=self.started and self._way == _UNTIL_CLOSE)

    def drop_body(self) -> None:
        """The request's bytes are not needed any more."""
        if self.body and self._connection is not None:
            self._connection.on_body_dropped()
        self.body = b""

    def lost(self) -> None:
        """For the connection: the client is gone."""
        watcher, self.watcher = self.watcher, None
        self._connection = None
        self.gone = True
        if watcher is not None:
            watcher.on_gone()

    def _head(self, connection: "Connection", status: int, headers: Headers, length: int | None) -> bytes:
        parts = [
            _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status,
            connection.front.standing_of(connection),
            _rendered(headers),
        ]
        if length is not None and status not in _BODILESS:
            self._way, self._left = _SIZED, length
            parts.append(b"content-length: %d\r\n" % length)
        if self.method == "HEAD" or status in _BODILESS:
            self._way = _NO_BODY
        elif length is None:
            self._choose_open_end(connection, parts)
        if connection.front.cors is not None:
            parts.append(connection.front.cors.answer_headers(self._fields.get(b"origin")))
        self._add_connection(connection, parts)
        return b"".join(parts)

    def _is_ordinary(self, connection: "Connection", status: int) -> bool:
        """Nothing but a length to add: nearly every answer."""
        front = connection.front
        return (
            self.keep_alive
            and connection.minor == 1
            and status in _WITH_BODY
            and self.method != "HEAD"
            and front.cors is None
            and not front.closing
        )

    def _choose_open_end(self, connection: "Connection", parts: list[bytes]) -> None:
        if connection.minor == 0:
            self._way = _UNTIL_CLOSE
            self.keep_alive = False
        else:
            self._way = _CHUNKED
            parts.append(b"transfer-encoding: chunked\r\n")

    def _add_connection(self, connection: "Connection", parts: list[bytes]) -> None:
        if connection.front.closing:
            self.keep_alive = False
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        elif connection.minor == 0:
            parts.append(b"connection: keep-alive\r\n")
        parts.append(b"\r\n")

    def _write_plain(self, connection: "Connection", data: bytes) -> None:
        if self._way == _NO_BODY:
            return
        if self._way == _SIZED:
            data = data[: self._left]
            self._left -= len(data)
        connection.transport.write(data)


def _rendered(headers: Headers) -> bytes:
    if isinstance(headers, bytes):
        return headers
    given: list[bytes] = []
    for name, value in headers:
        given += (name, b": ", value, b"\r\n")
    block = b"".join(given)
    if block.count(b"\n") == block.count(b"\r") == len(given) >> 2:
        return block
    return _without_breaks(given)


def _without_breaks(given: list[bytes]) -> bytes:
    """A header with a line break in it would be two; it is left out."""
    pairs = zip(given[::4], given[2::4], strict=True)
    kept = [b"%b: %b\r\n" % (name, value) for name, value in pairs if not set(name + value) & {10, 13}]
    return b"".join(kept)


def refusal_headers(error: ModelApiError, request_id: str) -> list[Header]:
    return [
        (b"content-type", b"application/json"),
        (b"request-id", request_id.encode()),
        (b"faregate-request-id", request_id.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *((name.encode(), value.encode()) for name, value in error.headers.items()),
    ]
