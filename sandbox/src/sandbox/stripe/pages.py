"""The hosted pay page: what a buyer sees where Stripe's own would be."""

from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.stripe.errors import StripeError
from sandbox.stripe.money import written
from sandbox.stripe.objects.sessions import pay_session
from sandbox.stripe.page_frame import framed
from sandbox.stripe.store import Json
from sandbox.stripe.workshop import Workshop

CARDS = {True: "pm_card_visa", False: "pm_card_visa_chargeDeclined"}
VERBS = {"payment": "Pay", "setup": "Save the card;", "subscription": "Subscribe for"}
MARK = "{CHECKOUT_SESSION_ID}"


def page_routes(workshop: Workshop) -> list[Route]:
    async def show(request: Request) -> Response:
        session = _find(workshop, request.path_params["id"])
        return _shown(session, declined="declined" in request.query_params)

    async def submit(request: Request) -> Response:
        form = parse_qs((await request.body()).decode(errors="replace"))
        return _submitted(workshop, request.path_params["id"], form)

    return [
        Route("/pay/{id}", show, methods=["GET"]),
        Route("/pay/{id}", submit, methods=["POST"]),
    ]


def _find(workshop: Workshop, ident: str) -> Json | None:
    with workshop.opened() as work:
        return work.find("checkout.session", ident)


def _submitted(workshop: Workshop, ident: str, form: dict[str, list[str]]) -> Response:
    succeeds = form.get("action") == ["pay"]
    if not succeeds and form.get("action") != ["decline"]:
        return _message("Nothing was chosen", "Go back and press one of the two buttons.", status=400)
    session = _find(workshop, ident)
    if session is None or session["status"] != "open":
        return _shown(session, declined=False)
    try:
        with workshop.opened() as work:
            # An address typed here is checked by nobody, as on a till.
            told = {name: form.get(name, [None])[0] or None for name in ("email", "country")}
            country = told["country"].upper()[:2] if told["country"] else None
            session = pay_session(work, session, card=CARDS[succeeds], email=told["email"], country=country)
    except StripeError as refusal:
        return _message("This could not be paid", escape(refusal.message), status=refusal.status)
    if not succeeds:
        return RedirectResponse(f"/pay/{ident}?declined", status_code=303)
    return RedirectResponse(_success_url(session), status_code=303)


def _success_url(session: Json) -> str:
    return str(session["success_url"]).replace(MARK, session["id"])


def _shown(session: Json | None, *, declined: bool) -> Response:
    if session is None:
        return _message("No such checkout", "The address is wrong, or the sandbox was reset.", status=404)
    if session["status"] == "complete":
        link = f'<a class="button" href="{escape(_success_url(session))}">Back to the shop</a>'
        return _message("Already paid", link)
    if session["status"] == "expired":
        return _message("This checkout has expired", "Start again from the shop.", status=410)
    return HTMLResponse(framed(f"Pay {_total(session)}", _checkout(session, declined=declined)))


def _checkout(session: Json, *, declined: bool) -> str:
    notice = (
        '<p class="notice" role="alert">The card was declined. Nothing was taken; try again.</p>' if declined else ""
    )
    verb = VERBS[session["mode"]]
    return f"""
{notice}
<ul class="items">{"".join(_item(item) for item in session["_line_items"])}</ul>
<p class="total"><span>Total today</span><strong>{_total(session)}</strong></p>
<form method="post">
{_email(session)}{_country(session)}
<button class="button" name="action" value="pay">{verb} {_total(session)}</button>
<button class="button quiet" name="action" value="decline">Pay with a card that is declined</button>
</form>
{_cancel(session)}"""


def _total(session: Json) -> str:
    return written(session["amount_total"] or 0, currency=session["currency"])


def _item(item: Json) -> str:
    amount = written(item["amount_total"], currency=item["currency"])
    quantity = f" &times; {item['quantity']}" if (item["quantity"] or 1) > 1 else ""
    rhythm = _rhythm(item["price"]["recurring"])
    return f"<li><span>{escape(item['description'])}{quantity}</span><span>{amount}{rhythm}</span></li>"


def _rhythm(recurring: Json | None) -> str:
    if recurring is None:
        return ""
    count, interval = recurring["interval_count"], recurring["interval"]
    return f" every {count} {interval}s" if count > 1 else f" per {interval}"


def _email(session: Json) -> str:
    known = (session["customer_details"] or {}).get("email")
    if known:
        return f'<p class="email">Receipt to {escape(known)}</p>'
    return '<label>E-mail <input type="email" name="email" autocomplete="email" placeholder="optional here"></label>'


def _country(session: Json) -> str:
    """Asked where something depends on it: the taxes, or an address that the shop wants."""
    if not session["automatic_tax"]["enabled"] and session["billing_address_collection"] != "required":
        return ""
    note = " (taxes come on top)" if session["automatic_tax"]["status"] == "requires_location_inputs" else ""
    return (
        f'<label>Country{note} <input name="country" pattern="[A-Za-z]{{2}}" maxlength="2" size="2" '
        'autocomplete="country" placeholder="DE"></label>'
    )


def _cancel(session: Json) -> str:
    if not session["cancel_url"]:
        return ""
    target = escape(str(session["cancel_url"]).replace(MARK, session["id"]))
    return f'<p><a href="{target}">Cancel and go back</a></p>'


def _message(title: str, content: str, *, status: int = 200) -> Response:
    return HTMLResponse(framed(title, f"<p>{content}</p>"), status_code=status)
