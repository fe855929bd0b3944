"""The pages behind links in mails. GET changes nothing: scanners of mail open links."""

from html import escape
from typing import Annotated, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from auth.domain.passwords import LONGEST, SHORTEST
from auth.entrypoints.parts import PartsDep, network_of
from auth.entrypoints.passwords import reset_with
from auth.errors import LinkUsedError, NotVerifiedError, WeakPasswordError
from auth.service import changing_address, inviting, messages

router = APIRouter(prefix="/auth/pages", include_in_schema=False)

TOKEN_MOST_CHARS: Final = 128
_FORM_MOST_BYTES: Final = 4 * TOKEN_MOST_CHARS + 16 * LONGEST
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "referrer-policy": "no-referrer",
}
_STYLE: Final = """
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; color: #1a1a1a; background: #f6f6f4; }
main { max-width: 28rem; margin: 12vh auto 0; padding: 2rem; background: #fff; border-radius: .75rem; }
h1 { font-size: 1.4rem; margin-top: 0; }
label { display: block; font-weight: 600; }
input { font: inherit; box-sizing: border-box; width: 100%; padding: .6rem; margin: .3rem 0 .3rem; }
input { border: 1px solid #767676; border-radius: .5rem; }
.hint { margin: 0 0 1rem; color: #4a4a4a; }
.wrong { margin: 0 0 1rem; color: #a4161a; font-weight: 600; }
button { font: inherit; padding: .6rem 1.2rem; border: 0; border-radius: .5rem; color: #fff; background: #1f4fd8; }
button:focus-visible, input:focus-visible { outline: 3px solid #9db8ff; outline-offset: 2px; }
"""
Token = Annotated[str, Query(max_length=TOKEN_MOST_CHARS)]


@router.get("/style.css")
async def style() -> Response:
    return Response(_STYLE, media_type="text/css", headers={"cache-control": "public, max-age=3600"})


@router.get("/verify")
async def show_verify(token: Token = "") -> HTMLResponse:
    text = "<p>Press the button to confirm that this address is yours.</p><button>Confirm my address</button>"
    return _page("Confirm your address", _form("verify", token, text))


@router.post("/verify")
async def verify(request: Request, parts: PartsDep) -> HTMLResponse:
    token = _field(await request.body(), "token")
    try:
        async with parts.database.transaction() as session:
            await messages.verify_address(session, token, now=parts.clock.now())
    except LinkUsedError:
        return _over("Sign in and ask for a new one.")
    return _page("Thank you", "<p>Your address is confirmed. You may close this page.</p>")


@router.get("/reset")
async def show_reset(token: Token = "") -> HTMLResponse:
    return _reset_form(token)


@router.post("/reset")
async def reset(request: Request, parts: PartsDep) -> HTMLResponse:
    body = await request.body()
    token, password = _field(body, "token"), _field(body, "password")
    if not SHORTEST <= len(password) <= LONGEST:
        return _reset_form(token, wrong=f"A password has {SHORTEST} to {LONGEST} characters.")
    try:
        await reset_with(parts, token, password, network=network_of(request, parts.trusted_proxies))
    except WeakPasswordError as error:
        return _reset_form(token, wrong=error.detail)
    except LinkUsedError:
        return _over("Ask for a new mail.")
    return _page(
        "Thank you", "<p>Your new password is set, and you are signed out everywhere. You may sign in now.</p>"
    )


@router.get("/email-change")
async def show_email_change(token: Token = "") -> HTMLResponse:
    text = "<p>Press the button to agree to the change of address.</p><button>Agree to the change</button>"
    return _page("Change of address", _form("email-change", token, text))


@router.post("/email-change")
async def email_change(request: Request, parts: PartsDep) -> HTMLResponse:
    token, network = _field(await request.body(), "token"), network_of(request, parts.trusted_proxies)
    try:
        async with parts.database.transaction() as session:
            changed = await changing_address.confirm_change(session, token, network=network, clock=parts.clock)
    except LinkUsedError:
        return _over("Sign in and ask for the change again.")
    if changed:
        return _page("Thank you", "<p>Your address is changed. You may close this page.</p>")
    return _page("Thank you", "<p>Now open the link that was sent to the other address.</p>")


@router.get("/invitation")
async def show_invitation(token: Token = "") -> HTMLResponse:
    text = "<p>Press the button to join the team that invited this address.</p><button>Join the team</button>"
    return _page("Join a team", _form("invitation", token, text))


@router.post("/invitation")
async def accept_invitation(request: Request, parts: PartsDep) -> HTMLResponse:
    token, network = _field(await request.body(), "token"), network_of(request, parts.trusted_proxies)
    try:
        async with parts.database.transaction() as session:
            await inviting.accept_by_link(session, token, network=network, clock=parts.clock)
    except NotVerifiedError:
        text = (
            "<p>To join, this address needs a user who has confirmed it. Sign up with this address and confirm it; "
            "if somebody else signed up with it, ask for a new password. Then open the link again.</p>"
        )
        return _page("Almost there", text, status=409)
    except LinkUsedError:
        return _over("Ask for another invitation.")
    return _page("Welcome", "<p>You are a member of the team now. You may close this page.</p>")


def _reset_form(token: str, *, wrong: str | None = None) -> HTMLResponse:
    error = f'<p class="wrong" id="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    described = "hint wrong" if wrong else "hint"
    invalid = ' aria-invalid="true"' if wrong else ""
    fields = (
        f'{error}<label for="password">New password</label>'
        f'<input type="password" id="password" name="password" autocomplete="new-password" required '
        f'minlength="{SHORTEST}" maxlength="{LONGEST}" aria-describedby="{described}"{invalid}>'
        f'<p class="hint" id="hint">At least {SHORTEST} characters. A few words are better than a few signs.</p>'
        "<button>Set the password</button>"
    )
    return _page("Choose a new password", _form("reset", token, fields), status=422 if wrong else 200)


def _form(action: str, token: str, content: str) -> str:
    return (
        f'<form method="post" action="/auth/pages/{action}">'
        f'<input type="hidden" name="token" value="{escape(token, quote=True)}">{content}</form>'
    )


def _over(advice: str) -> HTMLResponse:
    text = f"<p>This link was used already, or it is too old. {advice}</p>"
    return _page("This link does not work any more", text, status=410)


def _field(body: bytes, name: str) -> str:
    if len(body) > _FORM_MOST_BYTES:
        return ""
    return parse_qs(body.decode(errors="replace")).get(name, [""])[0]


def _page(title: str, content: str, *, status: int = 200) -> HTMLResponse:
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} - Faregate</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="/auth/pages/style.css"></head><body><main><h1>{title}</h1>{content}</main>'
        "</body></html>"
    )
    return HTMLResponse(html, status, _HEADERS)
