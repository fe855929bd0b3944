"""From a request to its caller: token, revocations, roles; and tokens between services."""

import asyncio
import sys
from dataclasses import dataclass, replace
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

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PRUNE_FIRST: Final = 10_000
_KEEP_OVER_S: Final = 3600.0


class RevokedError(UnauthenticatedError):
    code = "revoked"


class StepUpRequiredError(ForbiddenError):
    code = "step_up_required"


class ReadOnlyError(ForbiddenError):
    code = "impersonation_reads_only"


class OutsideScopeError(ForbiddenError):
    """The token is good, but bounded to other routes (RFC 6750: insufficient scope)."""

    code = "outside_scope"


@dataclass(frozen=True, slots=True)
class UserStanding:
    """A user's row as far as it says something about tokens."""

    version: int
    active: bool
    operator: bool


@dataclass(frozen=True, slots=True)
class MemberStanding:
    """A membership's row as far as it says something about tokens."""

    version: int
    active: bool
    role: str


class Revocations:
    """What the state topics say against tokens that are still valid by their dates (money.md 27).

    Rows as they were made say nothing against any token, and are not kept: memory grows with changes, not with users.
    """

    def __init__(self) -> None:
        self.generation = 0
        """Grows with whatever could change the outcome of a check, so that an outcome may be kept until then."""
        self._sessions: dict[UUID, float] = {}
        self._users: dict[UUID, UserStanding] = {}
        self._members: dict[tuple[UUID, UUID], MemberStanding] = {}
        self._keys: set[UUID] = set()
        self._prune_at = _PRUNE_FIRST

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
        self.end_session(event.session_id, expires_at=event.expires_at, now=event.time)

    def on_user(self, event: UserChanged) -> None:
        standing = UserStanding(event.version, event.state == "active", event.operator)
        self.set_user(event.user_id, standing)

    def on_member(self, event: MemberChanged) -> None:
        standing = MemberStanding(event.version, event.state == "active", sys.intern(event.role))
        self.set_member(event.account_id, event.user_id, standing)

    def on_key(self, event: ApiKeyChanged) -> None:
        if event.state == "revoked":
            self.end_key(event.api_key_id)

    def end_key(self, api_key_id: UUID) -> None:
        """For good: a revoked key never comes back."""
        if api_key_id not in self._keys:
            self._keys.add(api_key_id)
            self.generation += 1

    def end_session(self, session_id: UUID, *, expires_at: datetime, now: datetime) -> None:
        """Refused from now on; forgotten some time after `expires_at`, when no token of it can be valid any longer."""
        if session_id in self._sessions:
            return
        self._sessions[session_id] = expires_at.timestamp()
        self.generation += 1
        if len(self._sessions) > self._prune_at:
            over = now.timestamp() - _KEEP_OVER_S
            self._sessions = {one: until for one, until in self._sessions.items() if until > over}
            self._prune_at = max(_PRUNE_FIRST, 2 * len(self._sessions))

    def set_user(self, user_id: UUID, standing: UserStanding) -> None:
        """The user's row as of a version; older ones than the known are ignored."""
        known = self._users.get(user_id)
        if known is None and standing.version == 1 and standing.active:
            return
        if known is None or known.version < standing.version:
            self._users[user_id] = standing
            self.generation += 1

    def set_member(self, account_id: UUID, user_id: UUID, standing: MemberStanding) -> None:
        """The membership's row as of a version; older ones than the known are ignored."""
        known = self._members.get((account_id, user_id))
        if known is None and standing.version == 1 and standing.active:
            return
        if known is None or known.version < standing.version:
            self._members[account_id, user_id] = standing
            self.generation += 1

    def check(self, caller: Caller) -> Caller:
        """The caller with today's role; raises `RevokedError` when the session, key, user or membership has ended."""
        if caller.session_id in self._sessions or caller.api_key_id in self._keys:
            raise RevokedError("This credential has been revoked.")
        user = self._users.get(caller.user_id)
        if user is not None and not user.active:
            raise RevokedError("This user is not active.")
        member = self._members.get((caller.account_id, caller.user_id))
        if member is not None and not member.active:
            raise RevokedError("This user is no longer a member of the account.")
        today = _as_of_today(caller, user, member)
        if caller.actor_id is None:
            return today
        self._check_actor(caller.actor_id)
        # Nobody becomes an operator by looking through the eyes of one.
        return replace(today, operator=False)

    def _check_actor(self, actor_id: UUID) -> None:
        actor = self._users.get(actor_id)
        if actor is not None and not (actor.active and actor.operator):
            raise RevokedError("Who looks at this as somebody else is no longer an operator.")


def check_may_write(caller: Caller) -> None:
    """Raises `ReadOnlyError` for an operator who looks at things as somebody else."""
    if caller.actor_id is not None:
        raise ReadOnlyError("You see this as somebody else does; nothing can be changed like that.")


def _as_of_today(caller: Caller, user: UserStanding | None, member: MemberStanding | None) -> Caller:
    role = member.role if member else caller.role
    # A program that a user let in has none of an operator's rights, whatever its user has.
    operator = user.operator if user and caller.client_id is None else caller.operator
    if role == caller.role and operator == caller.operator:
        return caller
    return replace(caller, role=role, operator=operator)


class Identity:
    """Answers who a request comes from. `service` is the audience of service tokens that are meant for us."""

    def __init__(self, verifier: TokenVerifier, revocations: Revocations, *, service: str) -> None:
        self._verifier = verifier
        self._revocations = revocations
        self._service = service

    async def caller(self, request: Request) -> Caller:
        """Raises `ReadOnlyError` too: no route that writes is for somebody who only looks."""
        caller = await self.of_token(bearer(request))
        if not caller.may_ask(request.url.path):
            raise OutsideScopeError("This credential may not be used for this route.")
        if request.method not in READING:
            check_may_write(caller)
        return caller

    async def of_token(self, token: str) -> Caller:
        """The caller that a token speaks for as of now; raises `UnauthenticatedError`."""
        return self._revocations.check(await self._verifier.caller(token))

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


async def _stepped_up_operator(request: Request) -> Caller:
    caller = await _operator(request)
    if not caller.stepped_up:
        raise StepUpRequiredError("This needs a fresh proof: step up, and use the token that you get.")
    return caller


async def _service(request: Request) -> str:
    identity: Identity = request.app.state.identity
    return await identity.service(request)


CallerDep = Annotated[Caller, Depends(_caller)]
OperatorDep = Annotated[Caller, Depends(_operator)]
SteppedUpOperatorDep = Annotated[Caller, Depends(_stepped_up_operator)]
ServiceDep = Annotated[str, Depends(_service)]
"""Route parameters: the verified caller; one who must be an operator, or one who has just proved to be; the calling
service of an internal route. They need `app.state.identity`."""


class ServiceTokens:
    """Tokens for other services' internal routes, got from auth against our own secret and kept until they age."""

    def __init__(self, *, service: str, secret: str, auth_url: str, http: httpx2.AsyncClient, clock: Clock) -> None:
        self._service = service
        self._secret = secret
        self._url = f"{auth_url}/internal/service-tokens"
        self._http = http
        self._clock = clock
        self._tokens: dict[str, tuple[float, str]] = {}
        self._fetching: dict[str, asyncio.Task[str]] = {}

    async def headers(self, audience: str) -> dict[str, str]:
        """The authorization header for one call; raises `UnavailableError` when auth does not give a token."""
        expires, token = self._tokens.get(audience, (0.0, ""))
        if self._clock.monotonic() > expires:
            # Shielded: one caller who leaves must not fail the others.
            token = await asyncio.shield(self._start_fetch(audience))
        return {"authorization": f"Bearer {token}"}

    def _start_fetch(self, audience: str) -> asyncio.Task[str]:
        fetching = self._fetching.get(audience)
        if fetching is None or fetching.done():
            fetching = self._fetching[audience] = asyncio.create_task(self._fetch(audience))
        return fetching

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
