"""What all client connections of a process share: routes, limits, budgets and one clock."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.addresses import Network, client_address
from gateway.dataplane.cors import Cors
from gateway.dataplane.exchange import Exchange
from gateway.dataplane.framing import HeadLimits
from gateway.errors import ModelApiError
from gateway.headers import Header

if TYPE_CHECKING:
    from gateway.dataplane.connection import Connection

ModelHandler = Callable[[Exchange], None]
# Puts an error into the envelope of the surface that a path belongs to.
Envelope = Callable[[str, ModelApiError], ModelApiError]

_LONGEST_TICK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class FrontLimits:
    """What a client may cost before it is known."""

    head: HeadLimits = field(default_factory=HeadLimits)
    head_s: float = 10.0
    idle_s: float = 75.0
    body_silence_s: float = 30.0
    body_grace_s: float = 10.0
    body_bytes_per_s: int = 4096
    stall_s: float = 60.0
    linger_s: float = 5.0
    linger_bytes: int = 64 << 20
    model_body_bytes: int = 32 << 20
    app_body_bytes: int = 2 << 20
    model_bodies: frozenset[bytes] = frozenset()
    """Paths of the ASGI app that take a model call's body, so as large a one."""
    bodies_bytes: int = 512 << 20
    connections: int = 8192

    @property
    def tick_s(self) -> float:
        """How often connections are looked at: late by a quarter of the shortest time-out at most."""
        shortest = min(self.head_s, self.idle_s, self.body_silence_s, self.body_grace_s, self.stall_s, self.linger_s)
        return min(_LONGEST_TICK_S, shortest / 4)


class Route:
    """What answers one path."""

    __slots__ = ("is_prefix", "methods", "most_bytes", "path")

    def __init__(self, path: str, *, most_bytes: int) -> None:
        self.path = path
        self.most_bytes = most_bytes
        self.is_prefix = "{" in path
        self.methods: dict[str, ModelHandler] = {}


class ModelRoutes:
    """The table of what is answered without the ASGI app; `/a/{id}` stands for any rest behind `/a/`."""

    def __init__(
        self,
        table: Mapping[tuple[str, str], ModelHandler],
        *,
        most_bytes: Mapping[str, int] | None = None,
        envelope: Envelope | None = None,
    ) -> None:
        self._exact: dict[bytes, Route] = {}
        self._prefixes: list[tuple[bytes, Route]] = []
        self._most_bytes = dict(most_bytes or {})
        self._envelope = envelope
        for (method, path), handler in table.items():
            self._route(path).methods[method] = handler

    def find(self, path: bytes) -> Route | None:
        route = self._exact.get(path)
        if route is None:
            for prefix, candidate in self._prefixes:
                if path.startswith(prefix) and len(path) > len(prefix):
                    return candidate
        return route

    def error(self, path: str, error: ModelApiError) -> ModelApiError:
        return error if self._envelope is None else self._envelope(path, error)

    def _route(self, path: str) -> Route:
        prefix, brace, _ = path.partition("{")
        route = next((known for known in self._all() if known.path == path), None)
        if route is None:
            route = Route(path, most_bytes=self._most_bytes.get(path, 0))
            if brace:
                self._prefixes.append((prefix.encode(), route))
                self._prefixes.sort(key=lambda pair: -len(pair[0]))
            else:
                self._exact[path.encode()] = route
        return route

    def _all(self) -> Iterable[Route]:
        return [*self._exact.values(), *(route for _, route in self._prefixes)]


class Front:
    """One per process; each connection's protocol has it as a class attribute."""

    def __init__(
        self,
        routes: ModelRoutes,
        limits: FrontLimits,
        *,
        cors: Cors | None = None,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        self.routes = routes
        self.limits = limits
        self.cors = cors
        self.trusted_proxies = tuple(trusted_proxies)
        self.connections: set[Connection] = set()
        self.closing = False
        self.bodies_bytes = 0
        self.now = 0.0
        self._standing = b""
        self._rendered: list[Header] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tick: asyncio.TimerHandle | None = None

    def opened(self, connection: "Connection", loop: asyncio.AbstractEventLoop) -> None:
        if self._tick is None:
            self._loop = loop
            self._on_tick()
        self.connections.add(connection)

    def closed(self, connection: "Connection") -> None:
        self.connections.discard(connection)
        if not self.connections and self._tick is not None:
            self._tick.cancel()
            self._tick = None

    @property
    def is_full(self) -> bool:
        return len(self.connections) > self.limits.connections

    def peer(self, socket_peer: str, headers: Iterable[Header]) -> str:
        """The client's address behind trusted proxies."""
        forwarded = [value for name, value in headers if name == b"x-forwarded-for"]
        return client_address(socket_peer, forwarded, trusted=self.trusted_proxies)

    def standing_of(self, connection: "Connection") -> bytes:
        """The headers that the server adds to every answer; uvicorn makes them anew each second."""
        defaults = connection.server_state.default_headers
        if defaults is not self._rendered:
            self._rendered = defaults
            self._standing = b"".join(b"%b: %b\r\n" % pair for pair in defaults)
        return self._standing

    def _on_tick(self) -> None:
        assert self._loop is not None
        self.now = self._loop.time()
        self._tick = self._loop.call_later(self.limits.tick_s, self._on_tick)
        for connection in list(self.connections):
            connection.check(self.now)
