"""The connections to one provider's address: kept open, bounded, opened when needed."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.dataplane import call_metrics
from gateway.dataplane.errands import Errands
from gateway.dataplane.faults import record_fault
from gateway.dataplane.upstream_connection import ProviderConnection
from gateway.dataplane.upstream_request import Fetch
from gateway.routing.types import Address
from kit.clock import Clock


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """`idle_s` is shorter than providers keep a connection, so that none of them closes it under a request."""

    connections: int = 4000
    waiting: int = 4000
    idle_s: float = 30.0


Opener = Callable[
    [Callable[[], ProviderConnection], Address, ssl.SSLContext | None], Coroutine[Any, Any, ProviderConnection]
]


async def open_socket(
    factory: Callable[[], ProviderConnection], address: Address, tls: ssl.SSLContext | None
) -> ProviderConnection:
    """Connect, and with TLS prove that it is the host that was meant."""
    name = address.host if tls is not None else None
    _, connection = await asyncio.get_running_loop().create_connection(
        factory, address.host, address.port, ssl=tls, server_hostname=name
    )
    return connection


class Pool:
    """Requests take the connection that was used last; the others may grow old and close."""

    def __init__(
        self,
        address: Address,
        *,
        tls: ssl.SSLContext,
        limits: PoolLimits,
        errands: Errands,
        opener: Opener,
        clock: Clock,
    ) -> None:
        self.address = address
        self.clock = clock
        self.ticked_s = 0.0
        self._tls = tls if address.tls else None
        self._limits = limits
        self._errands = errands
        self._opener = opener
        self._idle: list[ProviderConnection] = []
        self._open: set[ProviderConnection] = set()
        self._opening = 0
        self._waiting: deque[tuple[float, Fetch]] = deque()

    @property
    def connections(self) -> int:
        return len(self._open)

    @property
    def idle(self) -> int:
        return len(self._idle)

    def run(self, fetch: Fetch) -> None:
        """Send it by an open connection, by a new one, or when one comes free."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                connection.begin(fetch)
                return
        if len(self._open) + self._opening < self._limits.connections:
            self._start_opening(fetch)
        elif len(self._waiting) < self._limits.waiting:
            self._waiting.append((self.clock.monotonic() + fetch.timeouts.connect_s, fetch))
        else:
            asyncio.get_running_loop().call_soon(self.failed, fetch, "PoolExhausted")

    def tick(self, now: float) -> None:
        """Find who waits too long: for a connection, for a provider, for a request."""
        self.ticked_s = now
        while self._waiting and self._waiting[0][0] <= now:
            self.failed(self._waiting.popleft()[1], "PoolExhausted")
        for connection in list(self._open):
            connection.check_silence(now)
        old = [one for one in self._idle if now - one.heard_s > self._limits.idle_s]
        for connection in old:
            self._idle.remove(connection)
            connection.close()

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def released(self, connection: ProviderConnection) -> None:
        while self._waiting:
            fetch = self._waiting.popleft()[1]
            if not fetch.cancelled:
                connection.begin(fetch)
                return
        self._idle.append(connection)

    def lost(self, connection: ProviderConnection) -> None:
        if connection not in self._open:
            return
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiting:
            self._start_opening(self._waiting.popleft()[1])

    def failed(self, fetch: Fetch, kind: str, *, unseen: bool = False) -> None:
        if fetch.cancelled:
            return
        if unseen:
            # The provider had closed the connection before the request could reach it: that one is safe to repeat.
            call_metrics.STALE_CONNECTIONS.inc()
            self._start_opening(fetch)
        else:
            fetch.sink.on_broken(kind)

    def _start_opening(self, fetch: Fetch) -> None:
        self._opening += 1
        self._errands.run(self._connect(fetch))

    async def _connect(self, fetch: Fetch) -> None:
        began = self.clock.monotonic()
        try:
            async with asyncio.timeout(fetch.timeouts.connect_s):
                connection = await self._opener(lambda: ProviderConnection(self), self.address, self._tls)
        except (OSError, TimeoutError, ValueError) as error:
            self.failed(fetch, "ConnectTimeout" if isinstance(error, TimeoutError) else type(error).__name__)
            return
        except Exception as error:  # noqa: BLE001  # nobody else would tell the call
            record_fault("gateway.connect_died", error)
            self.failed(fetch, type(error).__name__)
            return
        finally:
            self._opening -= 1
        took_s = self.clock.monotonic() - began
        # A handshake takes at least one round trip, with TLS at least two.
        connection.round_trip_s = took_s / 2 if self._tls is not None else took_s
        connection.heard_s = self.clock.monotonic()
        self._open.add(connection)
        if fetch.cancelled:
            self.released(connection)
        else:
            connection.begin(fetch)
