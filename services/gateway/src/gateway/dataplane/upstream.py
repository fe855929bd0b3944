"""The provider's side: connections to whoever runs models, raw bytes both ways.

Only this room opens connections to a provider. A path either needs an admitted call, or stands in `FREE` with the
reason why nobody pays for it: a route that reaches a provider past admission cannot come about by accident.
"""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from gateway.dataplane.errands import Errands
from gateway.dataplane.upstream_pool import Opener, Pool, PoolLimits, open_socket
from gateway.dataplane.upstream_request import (
    Fetch,
    Sink,
    UpstreamError,
    UpstreamRequest,
)
from gateway.headers import Header
from gateway.routing.types import Address, Target
from kit.clock import Clock, SystemClock

FREE: Final[Mapping[tuple[str, str], str]] = {
    ("POST", "/v1/messages/count_tokens"): "the provider counts without charge",
}
PAID: Final[frozenset[tuple[str, str]]] = frozenset({
    ("POST", "/v1/messages"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/embeddings"),
})  # fmt: skip

_TLS_VERSION: Final = ssl.TLSVersion.TLSv1_2


class UnmeteredRouteError(RuntimeError):
    """Somebody tried to reach a provider by a path that is neither paid for nor free."""


class Ticket(Protocol):
    """Admission's word for a path that is paid for."""

    @property
    def call_id(self) -> UUID: ...


def verified_tls(*, extra_ca_file: Path | None = None) -> ssl.SSLContext:
    """The machine's certificate authorities, and the operator's own where one is named."""
    context = ssl.create_default_context()
    context.minimum_version = _TLS_VERSION
    if extra_ca_file:
        context.load_verify_locations(extra_ca_file)
    return context


class Upstream:
    """All providers; one pool of connections for each address."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        limits: PoolLimits | None = None,
        opener: Opener = open_socket,
        clock: Clock | None = None,
    ) -> None:
        self._tls = tls or verified_tls()
        self._limits = limits or PoolLimits()
        self._opener = opener
        self._clock = clock or SystemClock()
        self._errands = Errands()
        self._pools: dict[Address, Pool] = {}

    @property
    def connections(self) -> int:
        return sum(pool.connections for pool in self._pools.values())

    def paid(self, target: Target, request: UpstreamRequest, *, ticket: Ticket, sink: Sink) -> Fetch:
        """Send an admitted call; the sink hears of the answer, never before this returns."""
        if (request.method, request.path) not in PAID or ticket.call_id is None:
            raise UnmeteredRouteError(request.path)
        return self._send(target, request, sink)

    async def free(
        self, target: Target, request: UpstreamRequest, *, route: tuple[str, str], most_bytes: int
    ) -> "WholeAnswer":
        """Run a request that nobody pays for; `route` is its entry in `FREE`. Raises `UpstreamError`."""
        if route not in FREE or (request.method, request.path) != route:
            raise UnmeteredRouteError(request.path)
        answer = WholeAnswer(most_bytes=most_bytes)
        answer.fetch = self._send(target, request, answer)
        try:
            await answer.done
        finally:
            answer.fetch.cancel()
        return answer

    def tick(self, now: float) -> None:
        for pool in self._pools.values():
            pool.tick(now)

    async def stop(self) -> None:
        await self._errands.stop()
        for pool in self._pools.values():
            pool.close()

    def _send(self, target: Target, request: UpstreamRequest, sink: Sink) -> Fetch:
        head = b"%b%d\r\n\r\n" % (request.head or request.head_of(target), len(request.body))
        fetch = Fetch(head, request.body, sink=sink, timeouts=target.timeouts)
        pool = self._pools.get(target.address)
        if pool is None:
            pool = Pool(
                target.address,
                tls=self._tls,
                limits=self._limits,
                errands=self._errands,
                opener=self._opener,
                clock=self._clock,
            )
            self._pools[target.address] = pool
        pool.run(fetch)
        return fetch


class WholeAnswer:
    """A sink that waits for the whole of a small answer."""

    def __init__(self, *, most_bytes: int) -> None:
        self.status = 0
        self.headers: list[Header] = []
        self.body = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fetch: Fetch | None = None
        self._most_bytes = most_bytes
        self._parts: list[bytes] = []

    def on_head(self, status: int, headers: list[Header]) -> None:
        self.status, self.headers = status, headers

    def on_bytes(self, data: bytes) -> None:
        self._parts.append(data)
        if sum(map(len, self._parts)) > self._most_bytes and self.fetch is not None:
            self.fetch.cancel()
            self.on_broken("AnswerTooLarge")

    def on_end(self) -> None:
        self.body = b"".join(self._parts)
        if not self.done.done():
            self.done.set_result(None)

    def on_broken(self, kind: str) -> None:
        if not self.done.done():
            self.done.set_exception(UpstreamError(kind))
