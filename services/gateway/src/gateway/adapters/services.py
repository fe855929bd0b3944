"""The services behind the gateway's one address, over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from gateway.headers import Header, from_service
from kit import logging
from kit.errors import UnavailableError

log = logging.get(__name__)

TIMEOUT_S: Final = 30.0
_CONNECT_TIMEOUT_S: Final = 3.0
_MOST_ANSWER_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """An answer, whole; a redirect is one like any other."""

    status: int
    headers: Sequence[Header]
    body: bytes


class Services:
    """One pool of connections to all services."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, method: str, url: str, *, headers: Sequence[Header], body: bytes) -> ServiceAnswer:
        """Forward one request; raises `UnavailableError` when the service is away or too slow."""
        assert self._session is not None
        pairs = [(name.decode("latin-1"), value.decode("utf-8", "ignore")) for name, value in headers]
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                headers=pairs,
                data=body or None,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
            ) as answer:
                read = await answer.content.read(_MOST_ANSWER_BYTES + 1)
                while not answer.content.at_eof() and len(read) <= _MOST_ANSWER_BYTES:
                    read += await answer.content.readany()
                if len(read) > _MOST_ANSWER_BYTES:
                    raise UnavailableError("The service's answer is too large.")
                return ServiceAnswer(answer.status, from_service(answer.raw_headers), read)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.warning("gateway.service_away", reason=type(error).__name__)
            raise UnavailableError("This part of the service does not answer; try again.", retry_after_s=2) from error
