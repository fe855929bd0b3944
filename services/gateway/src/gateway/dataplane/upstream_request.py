"""A request to a provider, and who hears of its answer."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.headers import Header
from gateway.routing.types import Target, Timeouts


class UnsafeRequestError(RuntimeError):
    """A header or query would have become something else on the wire."""


class UpstreamError(Exception):
    """The provider cannot be reached, or its connection broke; `kind` is the failure's name, without content."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Sink(Protocol):
    """Hears of an answer in order: its head, its bytes, then exactly one of `on_end` and `on_broken`."""

    def on_head(self, status: int, headers: list[Header]) -> None: ...

    def on_bytes(self, data: bytes) -> None: ...

    def on_end(self) -> None: ...

    def on_broken(self, kind: str) -> None:
        """No head, or no clean end: `kind` names the failure, without content."""
        ...


class UpstreamRequest(NamedTuple):
    """What goes to the provider; `headers` are the client's that may pass, the credential is added behind them.

    `head` is what `head_of` makes of all but the body, where it has been made before.
    """

    method: str
    path: str
    query: bytes
    headers: Sequence[Header]
    body: bytes = b""
    head: bytes = b""

    def head_of(self, target: Target) -> bytes:
        """All of the head up to the body's length, which ends it. Raises `UnsafeRequestError`."""
        query = b"?" + self.query if self.query else b""
        headers = b"".join([b"%b: %b\r\n" % header for header in self.headers])
        if headers.count(b"\n") != len(self.headers) or b"\n" in query or b" " in query:
            # The client's parser lets nothing like it through; that it could not be sent on stands here once more.
            raise UnsafeRequestError
        # The tees read plain bytes; a compressed answer would have to be opened and closed again.
        return b"%b %b%b HTTP/1.1\r\nhost: %b\r\n%b%b: %b\r\naccept-encoding: identity\r\ncontent-length: " % (
            self.method.encode(),
            target.path_of(self.path).encode(),
            query,
            target.authority,
            headers,
            *target.auth_header,
        )


class Carrier(Protocol):
    """The connection, as far as a request needs it."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self) -> None: ...


class Fetch:
    """One request under way: may be paused, resumed and given up at any time.

    `most_bytes` bounds what the sink gets at once, so that it can stop in the middle of a large read; None is all.
    """

    __slots__ = (
        "body",
        "cancelled",
        "connection",
        "head",
        "most_bytes",
        "sink",
        "timeouts",
        "writing_is_paused",
    )

    def __init__(self, head: bytes, body: bytes, *, sink: Sink, timeouts: Timeouts) -> None:
        self.head = head
        self.body = body
        self.sink = sink
        self.timeouts = timeouts
        self.most_bytes: int | None = None
        self.connection: Carrier | None = None
        self.cancelled = self.writing_is_paused = False

    def pause(self) -> None:
        """Read no more for now: the sink has nowhere to put it."""
        if self.connection is not None:
            self.connection.pause()

    def resume(self) -> None:
        if self.connection is not None:
            self.connection.resume()

    def cancel(self) -> None:
        """Give it up; the sink hears nothing more."""
        self.cancelled = True
        if self.connection is not None:
            connection, self.connection = self.connection, None
            connection.cancel()
