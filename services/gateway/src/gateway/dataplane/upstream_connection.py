"""One keep-alive connection to a provider: a request goes out, its answer is handed to the request's sink."""

import asyncio
from typing import Final, Protocol, cast

import httptools

from gateway.dataplane.upstream_request import Fetch
from gateway.headers import Header
from kit.clock import Clock

MOST_HEAD_BYTES: Final = 64 << 10
_WRITE_BYTES: Final = 256 << 10


class Home(Protocol):
    """Where a connection comes from and goes back to."""

    clock: Clock
    ticked_s: float
    """The clock's time a moment ago: near enough to tell silence, and asked for with every read."""

    def released(self, connection: "ProviderConnection") -> None:
        """The answer was read to its end; another request may follow."""
        ...

    def lost(self, connection: "ProviderConnection") -> None:
        """Nothing more will come of it."""
        ...

    def failed(self, fetch: Fetch, kind: str, *, unseen: bool) -> None:
        """The request has no whole answer; `unseen`: the provider cannot have read it."""
        ...


class ProviderConnection(asyncio.Protocol):
    """Carries one request at a time. Each method below `data_received` is asyncio's or the parser's."""

    __slots__ = (
        "_ended",
        "_extra",
        "_extra_from",
        "_fetch",
        "_framed",
        "_has_head",
        "_headers",
        "_home",
        "_interim",
        "_keeps",
        "_outgoing",
        "_parser",
        "_parts",
        "_paused",
        "_status",
        "_told",
        "_transport",
        "_unread_bytes",
        "heard_s",
        "on_body",
        "reused",
        "round_trip_s",
        "sent_s",
    )

    def __init__(self, home: Home) -> None:
        self._home = home
        self._transport: asyncio.Transport | None = None
        self._fetch: Fetch | None = None
        self._headers: list[Header] = []
        self._parts: list[bytes] = []
        # With every chunk: a method of ours would cost five times as much.
        self.on_body = self._parts.append
        self._parser = httptools.HttpResponseParser(self)
        self._outgoing: memoryview | None = None
        self._interim = self._framed = self._extra = self._paused = False
        self._has_head = self._told = self._ended = False
        self._keeps = False
        self._status = 0
        self._unread_bytes = self._extra_from = 0
        self.reused = False
        self.heard_s = self.sent_s = self.round_trip_s = 0.0

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def begin(self, fetch: Fetch) -> None:
        """Send the request; its sink hears of the answer."""
        assert self._transport is not None
        self._fetch = fetch
        fetch.connection = self
        self._headers = []
        self._framed = self._has_head = self._told = self._ended = False
        self._unread_bytes = 0
        self.heard_s = self.sent_s = self._home.clock.monotonic()
        if len(fetch.body) <= _WRITE_BYTES:
            self._transport.write(fetch.head + fetch.body)
        else:
            self._transport.write(fetch.head)
            self._outgoing = memoryview(fetch.body)
            self._write_more()

    def pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self.heard_s = self._home.clock.monotonic()
            self._transport.resume_reading()
            if self._fetch is not None and self._told:
                self._hand_on(self._fetch)

    def cancel(self) -> None:
        """Give the request up: its sink hears nothing more."""
        self._detach()
        self._drop()

    def close(self) -> None:
        """End an idle connection."""
        if self._transport is not None:
            self._transport.close()

    def check_silence(self, now: float) -> None:
        """End a request whose provider has been silent for too long."""
        fetch = self._fetch
        if fetch is None or self._paused:
            return
        limit_s = fetch.timeouts.silence_s if self._told else fetch.timeouts.first_byte_s
        if now - self.heard_s > limit_s:
            self._break("SilenceTimeout" if self._told else "FirstByteTimeout")

    def data_received(self, data: bytes) -> None:
        fetch = self._fetch
        if fetch is None:
            # Nobody asked for these bytes; the next answer would be read as theirs.
            self._drop()
            return
        if self._extra:
            return
        ticked_s = self._home.ticked_s
        if ticked_s > self.heard_s:  # noqa: PLR1730  # with every event: a call costs twice as much
            self.heard_s = ticked_s
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break("UnreadableAnswer")
            return
        if self._extra:
            # What comes behind the answer belongs to nobody.
            del self._parts[self._extra_from :]
        if not self._has_head:
            self._unread_bytes += len(data)
            if self._unread_bytes > MOST_HEAD_BYTES:
                self._break("HeadTooLarge")
            return
        parts = self._parts
        if self._told and len(parts) == 1 and not self._ended and not self._paused:
            most_bytes = fetch.most_bytes
            if most_bytes is None or len(parts[0]) <= most_bytes:
                # One event, as nearly every read of a stream brings it.
                fetch.sink.on_bytes(parts.pop())
                return
        self._hand_over(fetch)

    def on_message_begin(self) -> None:
        if self._ended and not self._extra:
            self._extra_from = len(self._parts)
        self._extra = self._ended

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_head:
            # A trailer, or what nobody asked for.
            return
        name = name.lower()
        if name in {b"content-length", b"transfer-encoding"}:
            self._framed = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._interim = status < 200
        if self._interim:
            self._headers = []
        elif not self._extra:
            self._status = status
            self._has_head = True

    def on_message_complete(self) -> None:
        if not self._interim:
            self._ended = True
            self._keeps = self._parser.should_keep_alive()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are transports in all but name.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._home.lost(self)
        if self._fetch is not None and self._parts:
            # What came before the connection ended is whole, and nobody can be asked to wait for more of it.
            arrived = b"".join(self._parts)
            self._parts.clear()
            self._fetch.sink.on_bytes(arrived)
        fetch = self._detach()
        if fetch is None:
            return
        if self._ended:
            fetch.sink.on_end()
            return
        if self._told and not self._framed and error is None:
            # An answer without a length ends where its connection does.
            fetch.sink.on_end()
            return
        # The reaction to our bytes cannot be back before a round trip: what came earlier was not about them.
        early = self._home.clock.monotonic() - self.sent_s < self.round_trip_s
        untouched = self.reused and not self._has_head and self._unread_bytes == 0
        kind = type(error).__name__ if error is not None else "ConnectionClosed"
        self._home.failed(fetch, kind, unseen=early and untouched)

    def pause_writing(self) -> None:
        if self._outgoing is not None and self._fetch is not None:
            self._fetch.writing_is_paused = True

    def resume_writing(self) -> None:
        if self._outgoing is not None and self._fetch is not None:
            self._fetch.writing_is_paused = False
            self.heard_s = self._home.clock.monotonic()
            self._write_more()

    def _write_more(self) -> None:
        assert self._transport is not None
        assert self._fetch is not None
        while self._outgoing is not None and not self._fetch.writing_is_paused:
            part, rest = self._outgoing[:_WRITE_BYTES], self._outgoing[_WRITE_BYTES:]
            self._outgoing = rest or None
            self._transport.write(part)

    def _hand_over(self, fetch: Fetch) -> None:
        """What has arrived, in order; the sink may give the request up at each step."""
        if not self._told:
            self._told = True
            fetch.head = fetch.body = b""
            fetch.sink.on_head(self._status, self._headers)
        self._hand_on(fetch)

    def _hand_on(self, fetch: Fetch) -> None:
        """As much of the body as the sink takes: a pause holds in the middle of what one read brought, too."""
        while self._parts and self._fetch is fetch and not self._paused:
            fetch.sink.on_bytes(self._next_bytes(fetch.most_bytes))
        if self._ended and not self._parts and self._fetch is fetch:
            self._detach()
            self._let_go()
            fetch.sink.on_end()

    def _next_bytes(self, most_bytes: int | None) -> bytes:
        parts = self._parts
        if most_bytes is None or (len(parts) == 1 and len(parts[0]) <= most_bytes):
            whole = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            return whole
        taken = size = 0
        for part in parts:
            size += len(part)
            if size > most_bytes:
                break
            taken += 1
        if taken == 0:
            first = parts[0]
            parts[0] = first[most_bytes:]
            return first[:most_bytes]
        some = parts[:taken]
        del parts[:taken]
        return some[0] if taken == 1 else b"".join(some)

    def _detach(self) -> Fetch | None:
        """The request is done with this connection, which soon serves another."""
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            fetch.connection = None
        return fetch

    def _let_go(self) -> None:
        """Back to the pool, if the next answer can be told from this one."""
        clean = self._outgoing is None and self._keeps and not self._extra
        if clean and self.usable:
            self.resume()
            self.reused = True
            self._home.released(self)
        else:
            self._drop()

    def _break(self, kind: str) -> None:
        fetch = self._detach()
        self._drop()
        if fetch is not None:
            self._home.failed(fetch, kind, unseen=False)

    def _drop(self) -> None:
        self._home.lost(self)
        self._parts.clear()
        self._outgoing = None
        if self._transport is not None:
            self._transport.abort()
