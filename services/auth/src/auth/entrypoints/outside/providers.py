"""Signing in with somebody else: there, and back with proof that it was this browser that went."""

import secrets
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from auth.adapters import addresses
from auth.adapters.providers import Asked, OutsideProvider
from auth.domain.outside import Vouched
from auth.entrypoints.browser import new_browser_secret
from auth.entrypoints.outside.arriving import arrive
from auth.entrypoints.pages.speaking import PageRoute
from auth.entrypoints.parts import ActingDep, Parts, PartsDep, network_of, refusals
from auth.entrypoints.proving import prove
from auth.entrypoints.sealed import seal, unseal
from auth.entrypoints.visiting import HOME, Visit, VisitDep, local_path
from auth.errors import AddressError, OutsideSignInError, UnknownProviderError
from auth.schemas.identities import BeginLinkAnswer
from auth.schemas.passwords import Proof
from auth.service import recognizing
from auth.service.recognizing import FirstSight
from auth.service.sessions import is_running
from kit.http import PROBLEM_TYPE

router = APIRouter(prefix="/auth/oauth", tags=["sign-in"], route_class=PageRoute)
linking = APIRouter(prefix="/auth/identities", tags=["identities"])

Name = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9_-]+$")]
Text = Annotated[str, Query(max_length=4096)]
_BYTES: Final = 32
Onward = Annotated[str, Query(alias="next", max_length=2048)]
_SAID: Final = {
    "text/html": {"schema": {"type": "string"}},
    PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}},
}
_PAGE: Final[dict[int | str, dict[str, Any]]] = {
    303: {"description": "There, or back to where the sign-in was begun"},
    401: {"description": "Why not: as a page, where the request is one of a browser", "content": _SAID},
    404: {"description": "There is no such provider", "content": _SAID},
    429: {"description": "Too many new users from this network", "content": _SAID},
}


@router.get("/{provider}", summary="Sign in with a provider", response_class=Response, status_code=303, responses=_PAGE)
async def begin(visit: VisitDep, provider: Name, onward: Onward = HOME) -> Response:
    """Leads to the provider; `next` is a path of this site to come back to."""
    words = {"next": local_path(onward)}
    return visit.go(await _address(visit.parts, _known(visit.parts, provider), words, browser_secret=visit.secret))


@linking.post("/{provider}/begin", summary="Link a provider to the caller", responses=refusals(401, 403, 404, 429, 503))
async def begin_link(
    request: Request, response: Response, provider: Name, *, body: Proof, parts: PartsDep, acting: ActingDep
) -> BeginLinkAnswer:
    """After a fresh proof: where to send the browser that keeps this answer's cookie."""
    known = _known(parts, provider)
    await prove(parts, acting, body)
    secret = parts.browser.secret_of(request)
    if secret is None:
        parts.browser.know(response, secret := new_browser_secret())
    words = {"next": HOME, "user": str(acting.user_id), "session": str(acting.session_id)}
    return BeginLinkAnswer(address=await _address(parts, known, words, browser_secret=secret))


@router.get("/{provider}/callback", summary="Where a provider leads back to", response_class=Response, responses=_PAGE)
async def callback(
    visit: VisitDep, provider: Name, *, state: Text = "", code: Text = "", error: Text = "", iss: Text = ""
) -> Response:
    """The state must be the one that this browser was sent away with (and `iss` the provider, RFC 9207)."""
    known, parts = _known(visit.parts, provider), visit.parts
    words = unseal(parts, state, purpose="outside-sign-in", browser_secret=visit.secret)
    if words["provider"] != provider or iss not in ("", known.provider.issuer):
        raise OutsideSignInError("This is the answer of another provider; begin again.")
    if error or not code:
        raise OutsideSignInError("The provider did not confirm this sign-in; begin again.")
    vouched = await known.vouched(_asked(parts, words, state=state), code)
    if "user" in words:
        return await _link(visit, vouched, user_id=UUID(words["user"]), session_id=UUID(words["session"]))
    first = FirstSight(
        create=known.provider.create_users,
        address=_parsed(parts, vouched),
        activation=parts.activation,
        limits=parts.limits,
    )
    network = network_of(visit.request, parts.trusted_proxies)
    async with parts.database.transaction() as session:
        user_id = await recognizing.recognize(session, vouched, first, network=network, clock=parts.clock)
    return await arrive(visit, user_id, way="identity", onward=words["next"])


async def _link(visit: Visit, vouched: Vouched, *, user_id: UUID, session_id: UUID) -> Response:
    parts, network = visit.parts, network_of(visit.request, visit.parts.trusted_proxies)
    async with parts.database.transaction() as session:
        if not await is_running(session, session_id):
            raise OutsideSignInError("The session that began this is over; sign in and begin again.")
        await recognizing.link(session, user_id, vouched, network=network, clock=parts.clock)
    return visit.page("message", title="Linked", text="You can sign in with this provider from now on.", kind="done")


async def _address(parts: Parts, provider: OutsideProvider, words: dict[str, str], *, browser_secret: str) -> str:
    """The provider's page for signing in. The state itself holds what is to be known at the return, sealed."""
    words = {
        **words,
        "provider": provider.provider.name,
        "nonce": secrets.token_urlsafe(_BYTES),
        "verifier": secrets.token_urlsafe(_BYTES),
    }
    state = seal(parts, words, purpose="outside-sign-in", browser_secret=browser_secret)
    return await provider.authorization_url(_asked(parts, words, state=state))


def _asked(parts: Parts, words: dict[str, str], *, state: str) -> Asked:
    return Asked(
        state=state,
        nonce=words["nonce"],
        verifier=words["verifier"],
        redirect_uri=f"{parts.public_url}/auth/oauth/{words['provider']}/callback",
    )


def _known(parts: Parts, name: str) -> OutsideProvider:
    found = parts.providers.get(name)
    if found is None:
        raise UnknownProviderError("There is no such provider.")
    return found


def _parsed(parts: Parts, vouched: Vouched) -> tuple[str, str] | None:
    if vouched.verified_address is None:
        return None
    try:
        return addresses.parse(vouched.verified_address, reserved_names=parts.reserved_names)
    except AddressError:
        return None
