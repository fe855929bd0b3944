"""The services behind the gateway's one address, over HTTP: answers pass as they come, within bounds."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from gateway.headers import Header, from_service
from kit import logging
from kit.errors import UnavailableError

log = logging.get(__name__)

_CONNECT_S: Final = 3.0
_MOST_CONNECTIONS: Final = 2000
_NO_BODY: Final = frozenset({204, 304})
_GONE: Final = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a service may take and give; a stream of events may last, but not be silent."""

    total_s: float = 30.0
    event_silence_s: float = 90.0
    most_bytes: int = 64 << 20


class ServiceAnswer:
    """An answer whose head is here; a redirect is one like any other. `parts` or `close` ends it."""

    def __init__(self, answer: aiohttp.ClientResponse, *, bounds: Bounds) -> None:
        self._answer = answer
        self._bounds = bounds
        self.status = answer.status
        self.headers = from_service(answer.raw_headers)
        self.is_events = answer.content_type == "text/event-stream"

    @property
    def length(self) -> int | None:
        """As the service said it; None when it did not know."""
        return None if self.status in _NO_BODY else self._answer.content_length

    async def parts(self) -> AsyncIterator[bytes]:
        """The body as it arrives; raises `UnavailableError` when it breaks off or grows too large."""
        left = self._bounds.most_bytes
        try:
            async for part in self._answer.content.iter_any():
                left -= 0 if self.is_events else len(part)
                if left < 0:
                    raise UnavailableError("The service's answer is too large.")
                yield part
        except _GONE as error:
            raise _away(error) from error
        finally:
            self.close()

    def close(self) -> None:
        # Back to the pool when it was read to its end, closed otherwise.
        if self._answer.content.is_eof():
            self._answer.release()
        else:
            self._answer.close()


class Services:
    """One pool of connections to all services."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=_MOST_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self, method: str, url: str, *, headers: Sequence[Header], body: bytes, bounds: Bounds
    ) -> ServiceAnswer:
        """Forward one request; raises `UnavailableError` when the service is away or too slow."""
        assert self._session is not None
        pairs = [(name.decode("latin-1"), value.decode("utf-8", "ignore")) for name, value in headers]
        asks_for_events = any(name == b"accept" and b"text/event-stream" in value for name, value in headers)
        try:
            answer = await self._session.request(
                method,
                URL(url, encoded=True),
                headers=pairs,
                data=body or None,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
                timeout=_timeout(bounds, lasting=asks_for_events),
            )
        except _GONE as error:
            raise _away(error) from error
        return _within(ServiceAnswer(answer, bounds=bounds), bounds)


def _timeout(bounds: Bounds, *, lasting: bool) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=None if lasting else bounds.total_s,
        connect=_CONNECT_S,
        sock_read=bounds.event_silence_s if lasting else bounds.total_s,
    )


def _within(answer: ServiceAnswer, bounds: Bounds) -> ServiceAnswer:
    if (answer.length or 0) > bounds.most_bytes:
        answer.close()
        raise UnavailableError("The service's answer is too large.")
    return answer


def _away(error: Exception) -> UnavailableError:
    log.warning("gateway.service_away", reason=type(error).__name__)
    return UnavailableError("This part of the service does not answer; try again.", retry_after_s=2)
