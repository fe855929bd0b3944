"""From a request to its caller: token, revocations, roles; and tokens between services."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import httpx2
from fastapi import Depends, Request

from contracts.auth import ApiKeyChanged, MemberChanged, SessionRevoked, UserChanged
from contracts.event import Event
from kit.clock import Clock
from kit.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from kit.state import StateReader
from kit.tokens import Caller, InvalidTokenError, TokenVerifier

REVOCATION_TOPICS: Final[tuple[type[Event], ...]] = (SessionRevoked, UserChanged, MemberChanged, ApiKeyChanged)


class RevokedError(UnauthenticatedError):
    code = "revoked"


class Revocations:
    """What the state topics say against tokens that are still valid by their dates (money.md 27)."""

    def __init__(self) -> None:
        self._sessions: dict[UUID, datetime] = {}
        self._users: dict[UUID, UserChanged] = {}
        self._members: dict[tuple[UUID, UUID], MemberChanged] = {}
        self._keys: dict[UUID, int] = {}

    def reader(self, bootstrap: str, *, clock: Clock, client_id: str) -> StateReader:
        """A reader that keeps this up to date; run it in the background."""
        handlers = {
            SessionRevoked: self.on_session,
            UserChanged: self.on_user,
            MemberChanged: self.on_member,
            ApiKeyChanged: self.on_key,
        }
        return StateReader(bootstrap, handlers, clock=clock, client_id=client_id)  # type: ignore[arg-type]  # each takes its own type

    def on_session(self, event: SessionRevoked) -> None:
        self._sessions[event.session_id] = event.expires_at

    def on_user(self, event: UserChanged) -> None:
        known = self._users.get(event.user_id)
        if known is None or known.version < event.version:
            self._users[event.user_id] = event

    def on_member(self, event: MemberChanged) -> None:
        known = self._members.get((event.account_id, event.user_id))
        if known is None or known.version < event.version:
            self._members[event.account_id, event.user_id] = event

    def on_key(self, event: ApiKeyChanged) -> None:
        if event.state == "revoked":
            self._keys[event.api_key_id] = event.version

    def check(self, caller: Caller) -> Caller:
        """The caller with today's role; raises `RevokedError` when the session, key, user or membership has ended."""
        if caller.session_id in self._sessions or caller.api_key_id in self._keys:
            raise RevokedError("This credential has been revoked.")
        user = self._users.get(caller.user_id)
        if user is not None and user.state != "active":
            raise RevokedError("This user is not active.")
        member = self._members.get((caller.account_id, caller.user_id))
        if member is not None and member.state != "active":
            raise RevokedError("This user is no longer a member of the account.")
        return replace(
            caller,
            role=member.role if member else caller.role,
            operator=user.operator if user else caller.operator,
        )


class Identity:
    """Answers who a request comes from. `service` is the audience of service tokens that are meant for us."""

    def __init__(self, verifier: TokenVerifier, revocations: Revocations, *, service: str) -> None:
        self._verifier = verifier
        self._revocations = revocations
        self._service = service

    async def caller(self, request: Request) -> Caller:
        return self._revocations.check(await self._verifier.caller(bearer(request)))

    async def service(self, request: Request) -> str:
        return await self._verifier.service(bearer(request), audience=self._service)


def bearer(request: Request) -> str:
    """The bearer token of a request."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise InvalidTokenError("Send a token: `Authorization: Bearer …`.")
    return token.strip()


async def _caller(request: Request) -> Caller:
    identity: Identity = request.app.state.identity
    return await identity.caller(request)


async def _operator(request: Request) -> Caller:
    caller = await _caller(request)
    if not caller.operator:
        raise ForbiddenError("Only operators may do this.")
    return caller


async def _service(request: Request) -> str:
    identity: Identity = request.app.state.identity
    return await identity.service(request)


CallerDep = Annotated[Caller, Depends(_caller)]
OperatorDep = Annotated[Caller, Depends(_operator)]
ServiceDep = Annotated[str, Depends(_service)]
"""Route parameters: the verified caller; one who must be an operator; the calling service of an internal route.
They need `app.state.identity`."""


class ServiceTokens:
    """Tokens for other services' internal routes, got from auth against our own secret and kept until they age."""

    def __init__(self, *, service: str, secret: str, auth_url: str, http: httpx2.AsyncClient, clock: Clock) -> None:
        self._service = service
        self._secret = secret
        self._url = f"{auth_url}/internal/service-tokens"
        self._http = http
        self._clock = clock
        self._tokens: dict[str, tuple[float, str]] = {}

    async def headers(self, audience: str) -> dict[str, str]:
        """The authorization header for one call; raises `UnavailableError` when auth does not give a token."""
        expires, token = self._tokens.get(audience, (0.0, ""))
        if self._clock.monotonic() > expires:
            token = await self._fetch(audience)
        return {"authorization": f"Bearer {token}"}

    async def _fetch(self, audience: str) -> str:
        body = {"service": self._service, "secret": self._secret, "audience": audience}
        try:
            answer = await self._http.post(self._url, json=body, timeout=3.0)
            answer.raise_for_status()
            issued = answer.json()
            token = str(issued["access_token"])
            self._tokens[audience] = (self._clock.monotonic() + float(issued["expires_in"]) - 60, token)
        except (httpx2.HTTPError, ValueError, KeyError) as error:
            raise UnavailableError("The sign-in service gives no service token.", retry_after_s=2) from error
        return token
