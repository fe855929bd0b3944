"""Asking the gateways which calls an instance admitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import quote
from uuid import UUID

import httpx2

from kit import logging
from kit.errors import UnavailableError

log = logging.get(__name__)

AUDIENCE: Final = "gateway"
TIMEOUT_S: Final = 10.0
MOST_WINDOW: Final = timedelta(hours=1)


class Tokens(Protocol):
    """Where service tokens come from; `kit.identity.ServiceTokens` is one."""

    async def headers(self, audience: str) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Journalled:
    """The ids that an instance's journals hold, None when no gateway has them; and who did not answer."""

    ids: frozenset[UUID] | None
    unreachable: tuple[str, ...]


class GatewayJournals:
    """Every gateway is asked: a journal lies where its process ran, and may have been adopted elsewhere."""

    def __init__(self, addresses: Sequence[str], *, http: httpx2.AsyncClient, tokens: Tokens | None) -> None:
        self._addresses = tuple(address.rstrip("/") for address in addresses)
        self._http = http
        self._tokens = tokens

    async def journalled(self, instance: str, *, start: datetime, end: datetime) -> Journalled:
        """All ids of the instance in `[start, end)`."""
        found: set[UUID] | None = None
        unreachable: list[str] = []
        for address in self._addresses:
            try:
                answer = await self._ask(address, instance, start=start, end=end)
            except (httpx2.HTTPError, UnavailableError, ValueError, KeyError) as error:
                log.warning("ledger.gateway_not_reached", address=address, reason=type(error).__name__)
                unreachable.append(address)
                continue
            if answer is not None:
                found = (found or set()) | answer
        return Journalled(None if found is None else frozenset(found), tuple(unreachable))

    async def _ask(self, address: str, instance: str, *, start: datetime, end: datetime) -> set[UUID] | None:
        if self._tokens is None:
            raise UnavailableError("There is no service secret to ask gateways with.")
        headers = await self._tokens.headers(AUDIENCE)
        found: set[UUID] | None = None
        while start < end:
            until = min(end, start + MOST_WINDOW)
            response = await self._http.get(
                f"{address}/internal/journal/{quote(instance, safe='')}",
                params={"from": start.isoformat(), "to": until.isoformat()},
                headers=headers,
                timeout=TIMEOUT_S,
            )
            if response.status_code != 404:
                response.raise_for_status()
                body: dict[str, Any] = response.json()
                found = (found or set()) | {UUID(one) for one in body["ids"]}
            start = until
        return found
