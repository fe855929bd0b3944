"""Asking auth: what an API key stands for, and whether credentials are still good."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self
from uuid import UUID

import httpx2

from kit.errors import UnavailableError
from kit.identity import MemberStanding, ServiceTokens, UserStanding
from kit.tokens import Caller

_TIMEOUT_S: Final = 5.0
_RECHECK_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class ResolvedKey:
    """A short access token with the key's rights, and the networks that the key is bound to."""

    access_token: str
    expires_in_s: float
    allowed_networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What credentials stand on."""

    api_keys: frozenset[UUID]
    sessions: frozenset[UUID]
    users: frozenset[UUID]
    members: frozenset[tuple[UUID, UUID]]

    @classmethod
    def about(cls, callers: Iterable[Caller]) -> Self:
        all_of = list(callers)
        return cls(
            frozenset(one.api_key_id for one in all_of if one.api_key_id),
            frozenset(one.session_id for one in all_of if one.session_id),
            frozenset(one.user_id for one in all_of),
            frozenset((one.account_id, one.user_id) for one in all_of),
        )


@dataclass(frozen=True, slots=True)
class Standings:
    """What speaks against credentials: keys and sessions that have ended, rows that changed since they were made."""

    ended_api_keys: tuple[UUID, ...] = ()
    ended_sessions: tuple[UUID, ...] = ()
    users: tuple[tuple[UUID, UserStanding], ...] = ()
    members: tuple[tuple[UUID, UUID, MemberStanding], ...] = ()


class KeyResolver(Protocol):
    """Who knows API keys."""

    async def resolve(self, key: str) -> ResolvedKey | None:
        """None when the key does not exist or was revoked; raises `UnavailableError` when nobody can say."""
        ...


class Rechecker(Protocol):
    """Who knows whether credentials are still good."""

    async def recheck(self, asked: Asked) -> Standings:
        """Raises `UnavailableError` when nobody can say."""
        ...


class AuthKeyResolver:
    """Auth's internal route for keys."""

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
            networks = tuple(str(one) for one in found.get("allowed_networks") or ())
            return ResolvedKey(str(found["access_token"]), float(found["expires_in"]), networks)
        except (httpx2.HTTPError, ValueError, KeyError, TypeError, AttributeError):
            # Without the cause: what raised it knows the request, and the request holds the key.
            raise UnavailableError("The sign-in service does not answer; try again.", retry_after_s=1) from None


class AuthRechecker:
    """Auth's internal route for credentials in use."""

    def __init__(self, auth_url: str, *, http: httpx2.AsyncClient, tokens: ServiceTokens) -> None:
        self._url = f"{auth_url}/internal/credentials/recheck"
        self._http = http
        self._tokens = tokens

    async def recheck(self, asked: Asked) -> Standings:
        body = {
            "api_keys": [str(one) for one in asked.api_keys],
            "sessions": [str(one) for one in asked.sessions],
            "users": [str(one) for one in asked.users],
            "members": [{"account_id": str(account), "user_id": str(user)} for account, user in asked.members],
        }
        headers = await self._tokens.headers("auth")
        try:
            answer = await self._http.post(self._url, json=body, headers=headers, timeout=_RECHECK_TIMEOUT_S)
            return _standings(answer.raise_for_status().json())
        except (httpx2.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnavailableError("The sign-in service does not answer; try again.", retry_after_s=1) from error


def _standings(found: Any) -> Standings:
    return Standings(
        tuple(UUID(one) for one in found["api_keys"]),
        tuple(UUID(one) for one in found["sessions"]),
        tuple(
            (UUID(one["user_id"]), UserStanding(int(one["version"]), one["state"] == "active", bool(one["operator"])))
            for one in found["users"]
        ),
        tuple(
            (
                UUID(one["account_id"]),
                UUID(one["user_id"]),
                MemberStanding(int(one["version"]), one["state"] == "active", str(one["role"])),
            )
            for one in found["members"]
        ),
    )
