"""Asking the gateways which calls an instance admitted, and for an end of those whose events were lost."""

from collections.abc import Collection, Sequence
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
MOST_LOST: Final = 1000


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

    async def report_lost(self, instance: str, call_ids: Collection[UUID]) -> frozenset[UUID]:
        """Have each gateway that remembers one of the calls report it as orphaned; those that are reported."""
        left, reported = set(call_ids), set[UUID]()
        for address in self._addresses:
            try:
                for some in _in_pieces(sorted(left, key=lambda call_id: call_id.int)):
                    reported |= await self._report(address, instance, some)
            except (httpx2.HTTPError, UnavailableError, ValueError, KeyError) as error:
                log.warning("ledger.gateway_not_reached", address=address, reason=type(error).__name__)
            left -= reported
        return frozenset(reported)

    async def _report(self, address: str, instance: str, call_ids: Sequence[UUID]) -> set[UUID]:
        response = await self._http.post(
            f"{address}/internal/journal/{quote(instance, safe='')}/lost",
            json={"ids": [str(call_id) for call_id in call_ids]},
            headers=await self._headers(),
            timeout=TIMEOUT_S,
        )
        if response.status_code == 404:
            return set()
        response.raise_for_status()
        return {UUID(one) for one in response.json()["ids"]}

    async def _headers(self) -> dict[str, str]:
        if self._tokens is None:
            raise UnavailableError("There is no service secret to ask gateways with.")
        return await self._tokens.headers(AUDIENCE)

    async def _ask(self, address: str, instance: str, *, start: datetime, end: datetime) -> set[UUID] | None:
        headers = await self._headers()
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


def _in_pieces(call_ids: Sequence[UUID]) -> list[Sequence[UUID]]:
    return [call_ids[start : start + MOST_LOST] for start in range(0, len(call_ids), MOST_LOST)]
