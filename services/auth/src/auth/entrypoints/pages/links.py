"""The pages behind links in mails. GET changes nothing: scanners of mail open links."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, Response

from auth.domain.passwords import LONGEST, SHORTEST
from auth.entrypoints.pages.speaking import PageRoute, plain_page
from auth.entrypoints.parts import OtherWay, Parts, PartsDep, network_of
from auth.entrypoints.passwords import reset_with
from auth.entrypoints.visiting import page_headers, read_page_form, refuse_other_sites
from auth.errors import LinkUsedError, NotVerifiedError, WeakPasswordError
from auth.service import changing_address, inviting, messages
from kit.errors import NotFoundError

router = APIRouter(route_class=PageRoute)

TOKEN_MOST_CHARS: Final = 128
_SIGN_IN: Final = OtherWay("/auth/pages/sign-in", "Sign in")
_THANKS: Final = "Thank you"
_SCRIPTS: Final = frozenset({"passkeys.js", "sign-up-work.js"})
Token = Annotated[str, Query(max_length=TOKEN_MOST_CHARS)]


@router.get("/style.css")
async def style(parts: PartsDep) -> Response:
    headers = {"cache-control": "public, max-age=3600"}
    return Response(parts.templates.source("style.css"), media_type="text/css", headers=headers)


@router.get("/static/{name}")
async def script(parts: PartsDep, name: Annotated[str, Path(max_length=64)]) -> Response:
    """For the pages that cannot do without: a file of ours, and nothing that it could fetch."""
    if name not in _SCRIPTS:
        raise NotFoundError("There is no such file.")
    headers = {"cache-control": "public, max-age=3600"}
    return Response(parts.templates.source(name), media_type="text/javascript", headers=headers)


@router.get("/verify")
async def show_verify(parts: PartsDep, token: Token = "") -> HTMLResponse:
    text, button = "Press the button to confirm that this address is yours.", "Confirm my address"
    return button_page(parts, "Confirm your address", "verify", token, text=text, button=button)


@router.post("/verify")
async def verify(request: Request, parts: PartsDep) -> HTMLResponse:
    token = await _token(request)
    try:
        async with parts.database.transaction() as session:
            await messages.verify_address(session, token, now=parts.clock.now())
    except LinkUsedError:
        return link_over(parts, "Sign in and ask for a new one.")
    return plain_page(parts, _THANKS, "Your address is confirmed. You may close this page, or sign in.", link=_SIGN_IN)


@router.get("/reset")
async def show_reset(parts: PartsDep, token: Token = "") -> HTMLResponse:
    return _reset_form(parts, token)


@router.post("/reset")
async def reset(request: Request, parts: PartsDep) -> HTMLResponse:
    refuse_other_sites(request)
    form = await read_page_form(request)
    token, password = form.get("token", ""), form.get("password", "")
    if not SHORTEST <= len(password) <= LONGEST:
        return _reset_form(parts, token, wrong=f"A password has {SHORTEST} to {LONGEST} characters.")
    try:
        await reset_with(parts, token, password, network=network_of(request, parts.trusted_proxies))
    except WeakPasswordError as error:
        return _reset_form(parts, token, wrong=error.detail)
    except LinkUsedError:
        return link_over(parts, "Ask for a new mail.")
    text = "Your new password is set, and you are signed out everywhere. You may sign in now."
    return plain_page(parts, _THANKS, text, link=_SIGN_IN)


@router.get("/email-change")
async def show_email_change(parts: PartsDep, token: Token = "") -> HTMLResponse:
    text, button = "Press the button to agree to the change of address.", "Agree to the change"
    return button_page(parts, "Change of address", "email-change", token, text=text, button=button)


@router.post("/email-change")
async def email_change(request: Request, parts: PartsDep) -> HTMLResponse:
    token, network = await _token(request), network_of(request, parts.trusted_proxies)
    try:
        async with parts.database.transaction() as session:
            changed = await changing_address.confirm_change(session, token, network=network, clock=parts.clock)
    except LinkUsedError:
        return link_over(parts, "Sign in and ask for the change again.")
    if changed:
        return plain_page(parts, _THANKS, "Your address is changed. You may close this page.")
    return plain_page(parts, _THANKS, "Now open the link that was sent to the other address.")


@router.get("/invitation")
async def show_invitation(parts: PartsDep, token: Token = "") -> HTMLResponse:
    text, button = "Press the button to join the team that invited this address.", "Join the team"
    return button_page(parts, "Join a team", "invitation", token, text=text, button=button)


@router.post("/invitation")
async def accept_invitation(request: Request, parts: PartsDep) -> HTMLResponse:
    token, network = await _token(request), network_of(request, parts.trusted_proxies)
    try:
        async with parts.database.transaction() as session:
            await inviting.accept_by_link(session, token, network=network, clock=parts.clock)
    except NotVerifiedError:
        text = (
            "To join, this address needs a user who has confirmed it. Sign up with this address and confirm it; "
            "if somebody else signed up with it, ask for a new password. Then open the link again."
        )
        sign_up = OtherWay("/auth/pages/sign-up", "Sign up")
        return plain_page(parts, "Almost there", text, status=409, link=sign_up)
    except LinkUsedError:
        return link_over(parts, "Ask for another invitation.")
    return plain_page(
        parts, "Welcome", "You are a member of the team now. You may close this page, or sign in.", link=_SIGN_IN
    )


def button_page(parts: Parts, title: str, page: str, token: str, *, text: str, button: str) -> HTMLResponse:
    """A page with one button, which uses the link up."""
    html = parts.templates.page(
        "button",
        title=title,
        action=f"/auth/pages/{page}",
        token=token,
        text=text,
        button=button,
        signed_in=False,
        csrf="",
    )
    return HTMLResponse(html, 200, page_headers(referrer="no-referrer"))


def link_over(parts: Parts, advice: str) -> HTMLResponse:
    text = f"This link was used already, or it is too old. {advice}"
    return plain_page(parts, "This link does not work any more", text, status=410, kind="failed")


async def _token(request: Request) -> str:
    refuse_other_sites(request)
    return (await read_page_form(request)).get("token", "")[: TOKEN_MOST_CHARS + 1]


def _reset_form(parts: Parts, token: str, *, wrong: str | None = None) -> HTMLResponse:
    html = parts.templates.page(
        "reset",
        title="Choose a new password",
        token=token,
        wrong={"password": wrong} if wrong else {},
        shortest=SHORTEST,
        longest=LONGEST,
        signed_in=False,
        csrf="",
    )
    return HTMLResponse(html, 422 if wrong else 200, page_headers(referrer="no-referrer"))
