"""The page behind a mail's link: a payment that the bank wants confirmed. GET changes nothing: scanners open links."""

from html import escape
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from billing.domain.amounts import money_text
from billing.errors import CardDeclinedError, UnknownPaymentError
from billing.service.confirming import Confirmable, Confirming

router = APIRouter(prefix="/billing", tags=["pages"], include_in_schema=False)

# No form-action: browsers hold it against the bank's page, to which the form's answer leads.
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_STYLE: Final = """
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; color: #1c2430; background: #f6f7f9; }
main { max-width: 26rem; margin: 12vh auto 0; padding: 2rem; background: #fff; border-radius: .8rem; }
h1 { font-size: 1.4rem; margin-top: 0; }
button { font: inherit; padding: .7rem 1.3rem; border: 0; border-radius: .5rem; color: #fff; background: #4f46e5; }
button:focus-visible { outline: 3px solid #a5b4fc; outline-offset: 2px; }
@media (prefers-color-scheme: dark) { body { background: #11151a; color: #e9edf2; } main { background: #1a2028; } }
"""
Token = Annotated[str, Query(max_length=400)]


@router.get("/confirm")
async def show(request: Request, token: Token = "") -> Response:
    confirming: Confirming = request.app.state.confirming
    try:
        found = await confirming.of_link(token)
    except UnknownPaymentError as error:
        return _page("Nothing to confirm", f"<p>{escape(error.detail)}</p>", status=404)
    return _shown(found, token)


@router.post("/confirm")
async def confirm(request: Request, token: Token = "") -> Response:
    """On to the bank's page, which leads back here."""
    confirming: Confirming = request.app.state.confirming
    try:
        onward = await confirming.begin(token)
    except UnknownPaymentError as error:
        return _page("Nothing to confirm", f"<p>{escape(error.detail)}</p>", status=404)
    except CardDeclinedError as error:
        told = f"<p>{escape(error.detail)} Nothing was charged. Another card may do.</p>"
        return _page("The payment was declined", told, status=402)
    return RedirectResponse(onward or request.url.path + f"?token={token}", status_code=303)


def _shown(found: Confirmable, token: str) -> Response:
    amount = f"{money_text(found.amount_minor)} {escape(found.currency.upper())}"
    what = "top-up" if found.is_top_up else "payment"
    if found.is_paid:
        return _page("Thank you", f"<p>Your {what} of {amount} is paid.</p>")
    form = f'<form method="post" action="confirm?token={escape(token)}"><button>Pay and confirm</button></form>'
    told = f"<p>Your bank wants you to confirm a payment of {amount}.</p>{form}"
    return _page(f"Confirm your {what}", f"{told}<p>If you just did, this page says so in a moment.</p>")


def _page(heading: str, content: str, *, status: int = 200) -> Response:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{heading}</title>'
    body = f"<main><h1>{heading}</h1>{content}</main>"
    page = f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>'
    return HTMLResponse(page, status, headers=_HEADERS)
