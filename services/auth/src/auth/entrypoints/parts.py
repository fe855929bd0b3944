"""What the routes work with, and who a request comes from."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Final
from uuid import UUID
from weakref import WeakValueDictionary

from fastapi import Depends, Request

from auth.adapters.issuer_keys import Trusted
from auth.adapters.passwords import Passwords
from auth.adapters.providers import OutsideProvider
from auth.adapters.sealing import Keyed, Sealer
from auth.adapters.templates import Templates
from auth.domain.audit import Acting
from auth.entrypoints.browser import Browser
from auth.errors import SessionRequiredError
from auth.service.guarding import SignUpGuard
from auth.service.keys import KeyRing
from auth.service.limits import Limits
from auth.service.oauth.clients import Programs
from auth.service.passkeys import Passkeys
from auth.service.registering import Activation
from auth.service.second_factors import SecondFactors
from contracts.auth import SessionRevoked
from kit.clock import Clock
from kit.database import Database
from kit.errors import InvalidError
from kit.http import Problem
from kit.identity import CallerDep, OutsideScopeError, Revocations
from kit.paging import decode_cursor
from kit.tokens import Caller

DEVICE_CHARS: Final = 200
ANSWER_STEP_S: Final = 0.2


class OneAtATime:
    """A lock for each name that is in use: a storm of one client waits here and not on the pool's connections."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


@dataclass(frozen=True, slots=True)
class OtherWay:
    """A way to sign in that is not by password, as the page for signing in offers it."""

    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Built once by `app.py`, found by the routes on `app.state.parts`."""

    database: Database
    clock: Clock
    revocations: Revocations
    passwords: Passwords
    ring: KeyRing
    limits: Limits
    second_factors: SecondFactors
    passkeys: Passkeys
    guard: SignUpGuard
    sign_up_url: str | None
    trusted_issuers: Mapping[str, Trusted]
    providers: Mapping[str, OutsideProvider]
    operator_second_factor: bool
    refresh_keyed: Keyed
    refreshing: OneAtATime
    secret_hashes: dict[str, str]
    public_url: str
    activation: Activation
    deletion_grace: timedelta
    reserved_names: bool
    trusted_proxies: Sequence[IPv4Network | IPv6Network]
    programs: Programs
    session_keys: bool
    browser: Browser
    templates: Templates
    pending: Sealer
    other_ways: Sequence[OtherWay]


async def _parts(request: Request) -> Parts:
    # Awaited, though nothing waits: FastAPI sends what is no coroutine through a thread.
    parts: Parts = request.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(_parts)]


async def _session_caller(caller: CallerDep) -> Caller:
    if caller.session_id is None:
        raise SessionRequiredError("This needs a session; sign in and use its access token, not an API key.")
    if caller.client_id is not None and caller.scopes:
        raise OutsideScopeError("The user has not allowed this program to do this.")
    return caller


SessionCallerDep = Annotated[Caller, Depends(_session_caller)]
"""A caller who has signed in."""


async def _acting(request: Request, parts: PartsDep, caller: SessionCallerDep) -> Acting:
    assert caller.session_id is not None
    return Acting(
        user_id=caller.user_id,
        account_id=caller.account_id,
        session_id=caller.session_id,
        operator=caller.operator,
        network=network_of(request, parts.trusted_proxies),
        client_id=caller.client_id,
    )


ActingDep = Annotated[Acting, Depends(_acting)]
"""The same, with the network that they call from, for what is written into the audit log."""


def forget_sessions(parts: Parts, ended: Iterable[SessionRevoked]) -> None:
    """Spare this process the wait for its own events to come back."""
    for event in ended:
        parts.revocations.on_session(event)


def forget_key(parts: Parts, key_id: UUID) -> None:
    """The same for an API key."""
    parts.revocations.end_key(key_id)


async def until_next_step(began: float) -> None:
    """Answer at a multiple of a step: making something takes some milliseconds longer than finding it."""
    taken = asyncio.get_running_loop().time() - began
    await asyncio.sleep(ANSWER_STEP_S - taken % ANSWER_STEP_S)


def network_of(request: Request, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The network that a client calls from: its address for IPv4, its /64 for IPv6.

    `X-Forwarded-For` counts only when a trusted proxy sent it, and then only what that proxy added, the last part.
    """
    host = request.client.host if request.client else ""
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    if forwarded and _inside(host, trusted):
        host = forwarded
    try:
        address = ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped) if address.ipv4_mapped else str(ip_network((address, 64), strict=False))
    return str(address)


def _inside(host: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in networks)


def device_of(request: Request) -> str:
    """What the client calls itself, for the list of sessions."""
    named = "".join(char for char in request.headers.get("user-agent", "") if char.isprintable())
    return named[:DEVICE_CHARS] or "unknown"


def before_id(cursor: str | None) -> UUID | None:
    """The id after which a page begins."""
    if cursor is None:
        return None
    try:
        return UUID(str(decode_cursor(cursor, parts=1)[0]))
    except ValueError:
        raise InvalidError("The cursor is not one of ours.", field="cursor") from None


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declares problems for the OpenAPI document."""
    return {status: {"model": Problem} for status in (*statuses, 422)}
