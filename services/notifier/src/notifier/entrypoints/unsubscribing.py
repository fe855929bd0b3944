"""The page behind the link in mails, and the one click of RFC 8058. GET changes nothing: scanners open links."""

from html import escape
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from notifier.entrypoints.parts import LanguageDep, PartsDep
from notifier.errors import UnknownLinkError
from notifier.service import preferences

router = APIRouter(prefix="/notifications", include_in_schema=False)

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "referrer-policy": "no-referrer",
}
_STYLE: Final = """
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; color: #1a1a1a; background: #f3f4f6; }
main { max-width: 28rem; margin: 12vh auto 0; padding: 2rem; background: #fff; border-radius: .75rem; }
h1 { font-size: 1.4rem; margin-top: 0; }
button { font: inherit; padding: .7rem 1.3rem; border: 0; border-radius: .5rem; color: #fff; background: #4f46e5; }
button:focus-visible { outline: 3px solid #a5b4fc; outline-offset: 2px; }
@media (prefers-color-scheme: dark) { body { background: #111827; color: #f3f4f6; } main { background: #1f2937; } }
"""
_WORDS: Final = {
    "en": ("Unsubscribe", "No longer get these mails: {title}?", "Done: you get no more of these mails."),
    "de": ("Abbestellen", "Diese Mails nicht mehr erhalten: {title}?", "Erledigt: Sie erhalten sie nicht mehr."),
}
_WRONG: Final = {
    "en": "This link is incomplete, or none of ours.",
    "de": "Dieser Link ist unvollständig oder nicht von uns.",
}
Token = Annotated[str, Query(max_length=256)]


@router.get("/unsubscribe")
async def show(parts: PartsDep, language: LanguageDep, token: Token = "") -> HTMLResponse:
    heading, question, _ = _WORDS[language]
    try:
        kind = preferences.kind_of_link(parts.links, token)
    except UnknownLinkError:
        return _page(heading, f"<p>{_WRONG[language]}</p>", language=language, status=422)
    asked = escape(question.format(title=kind.title[language]))
    form = f'<form method="post" action="unsubscribe?token={escape(token)}"><button>{heading}</button></form>'
    return _page(heading, f"<p>{asked}</p>{form}", language=language)


@router.post("/unsubscribe")
async def unsubscribe(parts: PartsDep, language: LanguageDep, token: Token = "") -> HTMLResponse:
    """For the page's button and for mail programs, which post `List-Unsubscribe=One-Click`."""
    heading, _, done = _WORDS[language]
    try:
        async with parts.database.transaction() as session:
            await preferences.unsubscribe(session, parts.links, token)
    except UnknownLinkError:
        return _page(heading, f"<p>{_WRONG[language]}</p>", language=language, status=422)
    return _page(heading, f"<p>{done}</p>", language=language)


def _page(heading: str, content: str, *, language: str, status: int = 200) -> HTMLResponse:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{heading}</title>'
    body = f"<main><h1>{heading}</h1>{content}</main>"
    page = (
        f'<!doctype html><html lang="{language}"><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>'
    )
    return HTMLResponse(page, status, headers=_HEADERS)
