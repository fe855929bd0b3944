"""Asking auth what an API key stands for."""

from dataclasses import dataclass
from typing import Final, Protocol

import httpx2

from kit.errors import UnavailableError
from kit.identity import ServiceTokens

_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class ResolvedKey:
    """A short access token with the key's rights."""

    access_token: str
    expires_in_s: float


class KeyResolver(Protocol):
    """Who knows API keys."""

    async def resolve(self, key: str) -> ResolvedKey | None:
        """None when the key does not exist or was revoked; raises `UnavailableError` when nobody can say."""
        ...


class AuthKeyResolver:
    """Auth's internal route."""

    def __init__(self, auth_url: str, *, http: httpx2.AsyncClient, tokens: ServiceTokens) -> None:
        self._url = f"{auth_url}/internal/api-keys/resolve"
        self._http = http
        self._tokens = tokens

    async def resolve(self, key: str) -> ResolvedKey | None:
        headers = await self._tokens.headers("auth")
        try:
            answer = await self._http.post(self._url, json={"key": key}, headers=headers, timeout=_TIMEOUT_S)
            if answer.status_code == 404 and answer.json().get("code") == "unknown_api_key":
                return None
            answer.raise_for_status()
            found = answer.json()
            return ResolvedKey(str(found["access_token"]), float(found["expires_in"]))
        except (httpx2.HTTPError, ValueError, KeyError, AttributeError) as error:
            raise UnavailableError("The sign-in service does not answer; try again.", retry_after_s=1) from error
