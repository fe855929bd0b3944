"""What billing asks of the ledger: what an account has left, and how tokens are used."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import httpx2
from pydantic import BaseModel, ValidationError

from contracts.event import IntString
from contracts.ledger import Slice
from contracts.money import Unit
from kit.errors import UnavailableError
from kit.identity import ServiceTokens

AUDIENCE: Final = "ledger"
TIMEOUT_S: Final = 10.0


class Held(BaseModel):
    """Of `BalanceChanged`, what pays; the ledger leaves out what has the contract's default."""

    slices: tuple[Slice, ...]
    debt_nano: IntString = 0


class LedgerApi:
    """The ledger's internal routes."""

    def __init__(self, url: str, *, http: httpx2.AsyncClient, tokens: ServiceTokens) -> None:
        self._url = url
        self._http = http
        self._tokens = tokens

    async def available_nano(self, account_id: UUID, *, now: datetime) -> int:
        """The credits that may be used now, less what is owed; raises `UnavailableError`."""
        snapshot = await self._ask("POST", f"/internal/accounts/{account_id}/snapshot", json={"calls": []})
        try:
            held = Held.model_validate(snapshot)
        except ValidationError as error:
            raise UnavailableError("The ledger's answer has another shape.") from error
        valid = [one for one in held.slices if one.starts_at <= now and (not one.expires_at or now < one.expires_at)]
        return sum(one.amount for one in valid if one.unit is Unit.CREDIT and one.kind == "grant") - held.debt_nano

    async def usage_mix(self) -> list[Mapping[str, Any]]:
        """How each model's tokens divide over the classes; raises `UnavailableError`."""
        answer = await self._ask("GET", "/internal/usage-mix")
        if not isinstance(answer.get("models"), list):
            raise UnavailableError("The ledger's answer has another shape.")
        return list(answer["models"])

    async def _ask(self, method: str, path: str, **sent: Any) -> Mapping[str, Any]:
        headers = await self._tokens.headers(AUDIENCE)
        try:
            answer = await self._http.request(method, self._url + path, headers=headers, timeout=TIMEOUT_S, **sent)
            answer.raise_for_status()
            body: Mapping[str, Any] = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise UnavailableError("The ledger does not answer.", retry_after_s=5) from error
        return body
