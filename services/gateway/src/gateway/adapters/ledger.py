"""The ledger's snapshot route."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import httpx2

from contracts.ledger import BalanceChanged
from gateway.admission.types import AdmissionUnavailableError, UnknownAccountError
from kit import logging
from kit.clock import Clock
from kit.errors import UnavailableError
from kit.identity import ServiceTokens
from kit.ids import fact_id

log = logging.get(__name__)

AUDIENCE: Final = "ledger"
TIMEOUT_S: Final = 5.0


class LedgerSnapshots:
    """Asks the ledger for an account's admission state; a `SnapshotSource`."""

    def __init__(self, *, base_url: str, http: httpx2.AsyncClient, tokens: ServiceTokens, clock: Clock) -> None:
        self._base_url = base_url.rstrip("/")
        self._http = http
        self._tokens = tokens
        self._clock = clock

    async def snapshot(self, account_id: UUID, calls: Sequence[UUID]) -> BalanceChanged:
        """Raises `UnknownAccountError` or `AdmissionUnavailableError`."""
        try:
            answer = await self._ask(account_id, calls)
            unknown = answer.status_code == 404 and answer.json().get("code") == "unknown_account"
            event = None if unknown else self._event(account_id, answer.raise_for_status().json())
        except (httpx2.HTTPError, UnavailableError, ValueError, TypeError, AttributeError) as error:
            log.warning("admission.snapshot_not_got", account_id=str(account_id), reason=_reason(error))
            raise AdmissionUnavailableError from error
        if event is None:
            raise UnknownAccountError
        return event

    async def _ask(self, account_id: UUID, calls: Sequence[UUID]) -> httpx2.Response:
        return await self._http.post(
            f"{self._base_url}/internal/accounts/{account_id}/snapshot",
            json={"calls": [str(call) for call in calls]},
            headers=await self._tokens.headers(AUDIENCE),
            timeout=TIMEOUT_S,
        )

    def _event(self, account_id: UUID, payload: dict[str, object]) -> BalanceChanged:
        event = BalanceChanged.model_validate(
            {**payload, "id": fact_id(account_id, payload.get("version"), "asked"), "time": self._clock.now()}
        )
        if event.account_id != account_id:
            raise ValueError("the ledger answered about another account")
        return event


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.HTTPStatusError):
        return f"status {error.response.status_code}"
    return type(error).__name__
