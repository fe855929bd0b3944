"""The page behind the link in a verification mail. GET changes nothing: scanners of mail open links."""

from html import escape
from typing import Annotated, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from auth.entrypoints.parts import PartsDep
from auth.errors import LinkUsedError
from auth.service import messages

router = APIRouter(prefix="/auth/pages", include_in_schema=False)

TOKEN_MOST_CHARS: Final = 128
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
button { font: inherit; padding: .6rem 1.2rem; border: 0; border-radius: .5rem; color: #fff; background: #1f4fd8; }
button:focus-visible { outline: 3px solid #9db8ff; outline-offset: 2px; }
"""


@router.get("/style.css")
async def style() -> Response:
    return Response(_STYLE, media_type="text/css", headers={"cache-control": "public, max-age=3600"})


@router.get("/verify")
async def show_verify(token: Annotated[str, Query(max_length=TOKEN_MOST_CHARS)] = "") -> HTMLResponse:
    form = (
        '<form method="post" action="/auth/pages/verify">'
        f'<input type="hidden" name="token" value="{escape(token, quote=True)}">'
        "<p>Press the button to confirm that this address is yours.</p>"
        "<button>Confirm my address</button></form>"
    )
    return _page("Confirm your address", form)


@router.post("/verify")
async def verify(request: Request, parts: PartsDep) -> HTMLResponse:
    token = _form_field(await request.body(), "token")
    try:
        async with parts.database.transaction() as session:
            await messages.verify_address(session, token, now=parts.clock.now())
    except LinkUsedError:
        text = "<p>This link was used already, or it is older than 10 minutes. Sign in and ask for a new one.</p>"
        return _page("This link does not work any more", text, status=410)
    return _page("Thank you", "<p>Your address is confirmed. You may close this page.</p>")


def _form_field(body: bytes, name: str) -> str:
    if len(body) > 4 * TOKEN_MOST_CHARS:
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
