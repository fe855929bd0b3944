"""For scripts of a product's own pages on this origin: they get access tokens, and never see a refresh token."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from auth.entrypoints.pages.entrance import end_session
from auth.entrypoints.parts import Parts, PartsDep, refusals
from auth.entrypoints.refreshing import refresh
from auth.entrypoints.visiting import VisitDep
from auth.errors import RefreshTokenError
from auth.schemas.browser import BrowserTokenAnswer
from auth.schemas.common import StatusAnswer
from auth.service import sessions
from auth.service.sessions import Refused

router = APIRouter(prefix="/auth/browser", tags=["browsers"])

CsrfToken = Annotated[str, Header(alias="x-csrf-token", max_length=128, description="of the cookie `…fg_csrf`")]


@router.post("/token", summary="An access token for who has signed in on the pages", responses=refusals(401, 403))
async def token(request: Request, response: Response, parts: PartsDep, x_csrf_token: CsrfToken) -> BrowserTokenAnswer:
    """Exchanges the cookie with the refresh token; the page proves with a header that it is one of this origin."""
    browser, given = parts.browser, parts.browser.cookie(request, "refresh")
    browser.check_origin(request)
    if not given:
        raise RefreshTokenError("Nobody has signed in here; open /auth/pages/sign-in.")
    browser.check_csrf(request, x_csrf_token, session_id=await _session_id(parts, given))
    outcome = await refresh(parts, given)
    if isinstance(outcome, Refused):
        raise RefreshTokenError("The session is over; open /auth/pages/sign-in.")
    browser.sign_in(response, outcome, secret=browser.secret_of(request) or "")
    return BrowserTokenAnswer(
        access_token=outcome.issued.token,
        expires_in=outcome.issued.expires_in_s,
        session_id=outcome.session.id,
        user_id=outcome.session.user_id,
        account_id=outcome.session.account_id,
    )


@router.post("/logout", summary="End the session of this browser", responses=refusals(403))
async def logout(visit: VisitDep, response: Response, x_csrf_token: CsrfToken) -> StatusAnswer:
    """Does nothing when nobody has signed in."""
    browser = visit.parts.browser
    browser.check_csrf(visit.request, x_csrf_token, session_id=visit.session_id)
    if visit.caller is not None:
        await end_session(visit)
    visit.with_cookies(response)
    return StatusAnswer()


async def _session_id(parts: Parts, refresh_token: str) -> str:
    async with parts.database.reading() as session:
        owner = await sessions.find_of_token(session, refresh_token)
    return "" if owner is None else str(owner.id)
