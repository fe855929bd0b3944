"""A streamed answer on its way: bytes pass at once, pings fill silence, a full client slows the provider."""

from collections.abc import Callable
from typing import Final

from gateway.dataplane.elastic import ElasticHold
from gateway.dataplane.exchange import Exchange
from gateway.dataplane.upstream_request import Fetch
from gateway.surfaces.types import StreamTee

MOST_HELD_BYTES: Final = 1 << 16
# At four bytes a token a quarter of the smallest usual step: how far an elastic hold may be overstepped unseen.
ELASTIC_READ_BYTES: Final = 1 << 10


class Stream:
    """One answer's way from the provider's reads to the client's socket."""

    __slots__ = (
        "_elastic",
        "_exchange",
        "_fetch",
        "_has_reader",
        "_ping",
        "_ping_after_s",
        "_spoke_s",
        "_start",
        "tee",
    )

    def __init__(
        self,
        exchange: Exchange,
        tee: StreamTee,
        *,
        ping: bytes,
        ping_after_s: float,
        start: Callable[[bytes], None],
        now: float,
    ) -> None:
        """`start` sends the answer's head with the first bytes, which may still fail to come."""
        self.tee = tee
        self._has_reader = True
        self._exchange = exchange
        self._ping = ping
        self._ping_after_s = ping_after_s
        self._start = start
        self._spoke_s = now
        self._fetch: Fetch | None = None
        self._elastic: ElasticHold | None = None

    def attach(self, fetch: Fetch, elastic: ElasticHold | None) -> None:
        self._fetch = fetch
        self._elastic = elastic
        if elastic is not None:
            fetch.most_bytes = ELASTIC_READ_BYTES

    def feed(self, data: bytes, now: float) -> None:
        """What the provider sent: out goes all that may. `now` may be a moment ago."""
        if now > self._spoke_s:  # noqa: PLR1730  # with every event: a call costs twice as much
            self._spoke_s = now
        tee = self.tee
        out = tee.feed(data)
        exchange = self._exchange
        if out and self._has_reader and exchange.started and not exchange.paused:
            exchange.write(out)
            if exchange.paused:
                self._pause()
        elif out:
            self._send(out)
        if self._elastic is not None and tee.terminal is None:
            self._elastic.note(tee.delivered_tokens)
            if self._elastic.is_used_up:
                self._pause()

    def tick(self, now: float) -> None:
        """Ping where the provider is silent; ask again for a hold that could not grow."""
        if self._elastic is not None and self._elastic.is_used_up:
            self._elastic.note(self.tee.delivered_tokens)
        if self._exchange.paused or not self._has_reader:
            return
        if now - self._spoke_s >= self._ping_after_s and self.tee.terminal is None and self.tee.between_events:
            self._spoke_s = now
            self._send(self._ping)

    def go_on(self) -> None:
        """The client reads again, or the hold has grown: read on, if nothing else is in the way."""
        waits = self._has_reader and self._exchange.paused
        if self._fetch is not None and not waits and not (self._elastic is not None and self._elastic.is_used_up):
            self._fetch.resume()

    def read_on_alone(self) -> None:
        """The client is gone: what the provider still says is read for its counts only."""
        self._has_reader = False
        self.go_on()

    def _send(self, out: bytes) -> None:
        if not self._has_reader:
            return
        exchange = self._exchange
        if exchange.started:
            exchange.write(out)
        else:
            self._start(out)
        if exchange.paused:
            self._pause()

    def _pause(self) -> None:
        if self._fetch is not None:
            self._fetch.pause()
