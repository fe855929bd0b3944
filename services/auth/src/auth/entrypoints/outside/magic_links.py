"""Signing in by a mail's link: asked for by a page or a program, used by the button, in the browser that asked."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from auth.adapters import addresses
from auth.entrypoints.browser import new_browser_secret
from auth.entrypoints.outside.arriving import arrive
from auth.entrypoints.pages.speaking import PageRoute
from auth.entrypoints.parts import Parts, PartsDep, network_of, refusals, until_next_step
from auth.entrypoints.visiting import HOME, SIGN_IN, Visit, VisitDep, refuse_other_sites
from auth.errors import AddressError, LinkUsedError, OtherBrowserError, TooManyAttemptsError
from auth.schemas.common import StatusAnswer
from auth.schemas.passwords import ForgotRequest
from auth.service import magic_links

router = APIRouter(prefix="/auth", tags=["sign-in"])
pages = APIRouter(route_class=PageRoute)

Token = Annotated[str, Query(max_length=128)]


@router.post("/magic-links", status_code=202, summary="Ask for a mail to sign in with", responses=refusals(429))
async def request_link(request: Request, response: Response, body: ForgotRequest, parts: PartsDep) -> StatusAnswer:
    """The link works in the browser that this answer's cookie is kept in. Known and unknown addresses answer alike."""
    known = parts.browser.secret_of(request)
    secret = known or new_browser_secret()
    await _request(parts, request, body.email, browser_secret=secret)
    if known is None:
        parts.browser.know(response, secret)
    return StatusAnswer()


@pages.get("/magic-links")
async def show_request(visit: VisitDep) -> Response:
    return _request_page(visit)


@pages.post("/magic-links")
async def request_at_page(visit: VisitDep) -> Response:
    visit.check_form()
    email = visit.form.get("email", "")[:255]
    try:
        await _request(visit.parts, visit.request, email, browser_secret=visit.secret)
    except (AddressError, TooManyAttemptsError) as error:
        status = 422 if isinstance(error, AddressError) else 429
        return _request_page(visit, email=email, wrong=error.detail, status=status)
    text = (
        "If there is an account with this address, a mail with a link is on its way. The link works for 10 minutes, "
        "and in this browser only."
    )
    return visit.page("message", title="Look into your mailbox", text=text, kind="done")


@pages.get("/magic-link")
async def show_link(visit: VisitDep, token: Token = "") -> Response:
    return visit.page(
        "button",
        title="Sign in",
        text="Press the button to sign in.",
        action="/auth/pages/magic-link",
        button="Sign in",
        token=token,
    )


@pages.post("/magic-link")
async def use_link(visit: VisitDep) -> Response:
    refuse_other_sites(visit.request)
    token, parts = visit.form.get("token", "")[:128], visit.parts
    secret = parts.browser.secret_of(visit.request)
    try:
        async with parts.database.transaction() as session:
            user_id = await magic_links.use_magic_link(session, token, browser_secret=secret, clock=parts.clock)
    except OtherBrowserError as error:
        return visit.page("message", status=403, title="Another browser", text=error.detail, kind="failed")
    except LinkUsedError as error:
        return visit.page(
            "message",
            status=410,
            title="This link does not work any more",
            text=error.detail,
            kind="failed",
            link=SIGN_IN,
            link_text="Sign in",
        )
    return await arrive(visit, user_id, way="magic-link", onward=HOME)


async def _request(parts: Parts, request: Request, email: str, *, browser_secret: str) -> None:
    began = asyncio.get_running_loop().time()
    _, normal = addresses.parse(email, reserved_names=parts.reserved_names)
    network = network_of(request, parts.trusted_proxies)
    async with parts.database.transaction() as session:
        await parts.limits.take_mail_request(session, network=network, now=parts.clock.now())
        await magic_links.request_link(
            session, normal, browser_secret=browser_secret, limits=parts.limits, clock=parts.clock
        )
    await until_next_step(began)


def _request_page(visit: Visit, *, email: str = "", wrong: str | None = None, status: int = 200) -> Response:
    words = {"email": wrong} if wrong else {}
    return visit.page("magic_links", status=status, title="Sign in by mail", email=email, wrong=words)
