"""A request to a provider, and who hears of its answer."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.headers import Header


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
    """What goes to the provider; `headers` are the client's that may pass, the credential is added behind them."""

    method: str
    path: str
    query: bytes
    headers: Sequence[Header]
    body: bytes = b""


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
        "connect_s",
        "connection",
        "first_byte_s",
        "head",
        "most_bytes",
        "silence_s",
        "sink",
        "writing_is_paused",
    )

    def __init__(
        self, head: bytes, body: bytes, sink: Sink, *, connect_s: float, first_byte_s: float, silence_s: float
    ) -> None:
        self.head = head
        self.body = body
        self.sink = sink
        self.connect_s = connect_s
        self.first_byte_s = first_byte_s
        self.silence_s = silence_s
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
