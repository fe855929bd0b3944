"""The provider's side: one pool of connections, raw bytes both ways.

Only this module opens connections to the provider. A path either needs an admitted call, or stands in `FREE` with the
reason why nobody pays for it: a route that reaches the provider past admission cannot come about by accident.
"""

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

import aiohttp
from yarl import URL

from gateway.headers import Header, to_provider

FREE: Final[Mapping[tuple[str, str], str]] = {
    ("POST", "/v1/messages/count_tokens"): "the provider counts without charge",
    ("GET", "/v1/models"): "a list of names",
    ("GET", "/v1/models/{id}"): "a name",
}
PAID: Final[frozenset[tuple[str, str]]] = frozenset({("POST", "/v1/messages")})

_CONNECT_TIMEOUT_S: Final = 10.0
_LARGE_BODY_BYTES: Final = 1 << 20
_SKIPPED: Final = ("User-Agent", "Content-Type", "Accept", "Accept-Encoding")


class UnmeteredRouteError(RuntimeError):
    """Somebody tried to reach the provider by a path that is neither paid for nor free."""


class UpstreamError(Exception):
    """The provider cannot be reached, or its connection broke; `kind` is the failure's name, without content."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class AdmittedCall(Protocol):
    """The ticket for a path that is paid for."""

    @property
    def call_id(self) -> UUID: ...


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What goes to the provider, unchanged but for the credential."""

    method: str
    path: str
    query: bytes
    headers: Sequence[Header]
    body: bytes | None = None


class UpstreamAnswer:
    """An answer whose body has not been read."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers: Sequence[Header] = answer.raw_headers

    @property
    def request_id(self) -> str | None:
        return self._answer.headers.get("request-id")

    @property
    def is_event_stream(self) -> bool:
        return self._answer.content_type == "text/event-stream"

    async def read(self) -> bytes:
        """The next bytes as they come, empty at the end; raises `UpstreamError` when the end is not a clean one."""
        try:
            return await self._answer.content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UpstreamError(type(error).__name__) from error

    async def read_all(self, *, most_bytes: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := await self.read():
            parts.append(part)
            size += len(part)
            if size > most_bytes:
                raise UpstreamError("AnswerTooLarge")
        return b"".join(parts)


class Upstream:
    """The provider, by one credential of the operator's."""

    def __init__(self, base_url: str, *, api_key: str, silence_s: float = 330.0, connections: int = 1000) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._silence_s = silence_s
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=_CONNECT_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S, sock_read=self._silence_s
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def paid(self, request: UpstreamRequest, *, ticket: AdmittedCall) -> AsyncIterator[UpstreamAnswer]:
        """Run an admitted call; raises `UpstreamError` when the provider cannot be reached."""
        if (request.method, request.path) not in PAID or ticket.call_id is None:
            raise UnmeteredRouteError(request.path)
        async with self._opened(request) as answer:
            yield answer

    @asynccontextmanager
    async def free(self, request: UpstreamRequest, *, route: str) -> AsyncIterator[UpstreamAnswer]:
        """Run a request that nobody pays for; `route` is its entry in `FREE`."""
        if (request.method, route) not in FREE or not _matches(request.path, route):
            raise UnmeteredRouteError(request.path)
        async with self._opened(request) as answer:
            yield answer

    @asynccontextmanager
    async def _opened(self, request: UpstreamRequest) -> AsyncIterator[UpstreamAnswer]:
        assert self._session is not None
        query = f"?{request.query.decode('latin-1')}" if request.query else ""
        try:
            answer = await self._session.request(
                request.method,
                URL(f"{self._base_url}{request.path}{query}", encoded=True),
                data=_payload(request.body),
                headers=self._headers(request.headers),
                skip_auto_headers=_SKIPPED,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise UpstreamError(type(error).__name__) from error
        try:
            yield UpstreamAnswer(answer)
        finally:
            # A body that was not read to its end must not hold up the next call on this connection.
            answer.close() if not answer.content.at_eof() else answer.release()

    def _headers(self, headers: Sequence[Header]) -> list[tuple[str, str]]:
        passed = [(name.decode("latin-1"), value.decode("utf-8", "ignore")) for name, value in to_provider(headers)]
        # The tee reads plain bytes; a compressed answer would have to be opened and closed again.
        return [*passed, ("x-api-key", self._api_key), ("accept-encoding", "identity")]


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    return io.BytesIO(body) if body is not None and len(body) > _LARGE_BODY_BYTES else body


def _matches(path: str, route: str) -> bool:
    fixed, parameter, _ = route.partition("{")
    if not parameter:
        return path == route
    return path.startswith(fixed) and "/" not in path.removeprefix(fixed)
