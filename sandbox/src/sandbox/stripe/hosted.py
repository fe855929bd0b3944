"""More of what Stripe has as pages: the customer portal, an invoice with its PDF, the bank's question."""

from collections.abc import Callable
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.stripe.errors import MissingError, StripeError
from sandbox.stripe.money import written
from sandbox.stripe.objects.cards import SUCCEEDED
from sandbox.stripe.objects.cycles import after_collection, finish_cycle
from sandbox.stripe.objects.intents import authenticate
from sandbox.stripe.objects.invoices import arrived
from sandbox.stripe.objects.setup_intents import authenticate_setup
from sandbox.stripe.objects.subscription_changes import update_subscription
from sandbox.stripe.page_frame import framed
from sandbox.stripe.paper import paper
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work
from sandbox.stripe.workshop import Workshop

PORTAL = "billing_portal.session"
ENDED = ("canceled", "incomplete_expired")


def hosted_routes(workshop: Workshop) -> list[Route]:
    async def show_portal(request: Request) -> Response:
        return _answered(workshop, lambda work: _portal(work, work.get(PORTAL, request.path_params["id"])))

    async def change(request: Request) -> Response:
        form = parse_qs((await request.body()).decode(errors="replace"))
        return _answered(workshop, lambda work: _changed(work, work.get(PORTAL, request.path_params["id"]), form))

    async def show_invoice(request: Request) -> Response:
        return _answered(workshop, lambda work: _invoice(work.get("invoice", request.path_params["id"])))

    async def pay_invoice(request: Request) -> Response:
        return _answered(workshop, lambda work: _paid(work, work.get("invoice", request.path_params["id"])))

    async def show_pdf(request: Request) -> Response:
        kind = request.url.path.split("/")[1]
        return _answered(workshop, lambda work: _pdf(work.get(kind, request.path_params["id"])))

    async def ask(request: Request) -> Response:
        return _answered(workshop, lambda work: _question(_intent(work, request.path_params["id"])))

    async def answer(request: Request) -> Response:
        form = parse_qs((await request.body()).decode(errors="replace"))
        return _answered(workshop, lambda work: _told(work, _intent(work, request.path_params["id"]), form))

    return [
        Route("/portal/{id}", show_portal, methods=["GET"]),
        Route("/portal/{id}", change, methods=["POST"]),
        Route("/invoice/{id}", show_invoice, methods=["GET"]),
        Route("/invoice/{id}", pay_invoice, methods=["POST"]),
        Route("/invoice/{id}/pdf", show_pdf, methods=["GET"]),
        Route("/credit_note/{id}/pdf", show_pdf, methods=["GET"]),
        Route("/authenticate/{id}", ask, methods=["GET"]),
        Route("/authenticate/{id}", answer, methods=["POST"]),
    ]


def _answered(workshop: Workshop, act: Callable[[Work], Response]) -> Response:
    try:
        with workshop.opened() as work:
            return act(work)
    except StripeError as refusal:
        return _page("This cannot be shown", f"<p>{escape(refusal.message)}</p>", status=refusal.status)


def _page(title: str, content: str, *, status: int = 200) -> Response:
    return HTMLResponse(framed(title, content), status_code=status)


def _portal(work: Work, session: Json) -> Response:
    features = work.get("billing_portal.configuration", session["configuration"])["features"]
    found = work.list_all("subscription", customer=session["customer"])
    parts = [_subscription(one, may_cancel=features["subscription_cancel"]["enabled"]) for one in found]
    if features["invoice_history"]["enabled"]:
        invoices = work.list_all("invoice", customer=session["customer"])
        lines = "".join(_invoice_line(one) for one in invoices if one["status"] != "draft")
        parts.append(f'<ul class="items">{lines}</ul>')
    if session["return_url"]:
        parts.append(f'<p><a href="{escape(session["return_url"])}">Back to the shop</a></p>')
    return _page("Your subscription", "".join(parts) or "<p>There is nothing here yet.</p>")


def _subscription(subscription: Json, *, may_cancel: bool) -> str:
    state = "ends with its period" if subscription["cancel_at_period_end"] else subscription["status"]
    told = f"<p>{escape(subscription['description'] or subscription['id'])}: {escape(state)}</p>"
    if not may_cancel or subscription["status"] in ENDED:
        return told
    action, words = (
        ("resume", "Keep it") if subscription["cancel_at_period_end"] else ("cancel", "Cancel at period end")
    )
    return f"""{told}<form method="post"><input type="hidden" name="subscription" value="{subscription["id"]}">
<button class="button quiet" name="action" value="{action}">{words}</button></form>"""


def _invoice_line(invoice: Json) -> str:
    amount = written(invoice["total"], currency=invoice["currency"])
    link = f'<a href="{escape(invoice["hosted_invoice_url"])}">{escape(invoice["number"])}</a>'
    return f"<li><span>{link}</span><span>{amount} {invoice['status']}</span></li>"


def _changed(work: Work, session: Json, form: dict[str, list[str]]) -> Response:
    subscription = work.get("subscription", form.get("subscription", [""])[0])
    features = work.get("billing_portal.configuration", session["configuration"])["features"]
    if subscription["customer"] != session["customer"] or not features["subscription_cancel"]["enabled"]:
        raise MissingError("subscription", subscription["id"])
    update_subscription(work, subscription["id"], {"cancel_at_period_end": form.get("action") == ["cancel"]})
    return RedirectResponse(f"/portal/{session['id']}", status_code=303)


def _invoice(invoice: Json) -> Response:
    lines = "".join(
        f"<li><span>{escape(line['description'] or '')}</span>"
        f"<span>{written(line['amount'], currency=line['currency'])}</span></li>"
        for line in invoice["lines"]["data"]
    )
    total = written(invoice["total"], currency=invoice["currency"])
    button = '<form method="post"><button class="button">Pay</button></form>' if invoice["status"] == "open" else ""
    return _page(
        f"Invoice {invoice['number'] or 'draft'}",
        f'<ul class="items">{lines}</ul><p class="total"><span>{escape(invoice["status"])}</span>'
        f'<strong>{total}</strong></p>{button}<p><a href="/invoice/{invoice["id"]}/pdf">PDF</a></p>',
    )


def _paid(work: Work, invoice: Json) -> Response:
    """The customer is there and pays: whatever their bank asks, they answer."""
    if invoice["status"] == "open":
        finish_cycle(work, invoice, outcome=SUCCEEDED)
    return RedirectResponse(f"/invoice/{invoice['id']}", status_code=303)


def _pdf(body: Json) -> Response:
    lines = [f"{line['description'] or ''}  {line['amount']}" for line in body["lines"]["data"]]
    total = f"Total  {written(body['total'], currency=body['currency'])}"
    title = f"{body['object']} {body['number'] or 'draft'} (sandbox)"
    return Response(paper([title, *lines, total]), media_type="application/pdf")


def _intent(work: Work, ident: str) -> Json:
    return work.get("setup_intent" if ident.startswith("seti_") else "payment_intent", ident)


def _question(intent: Json) -> Response:
    if intent["status"] != "requires_action":
        return _page("Nothing is asked", f"<p>It is {escape(intent['status'])}.</p>")
    buttons = """<form method="post"><button class="button" name="action" value="yes">Yes, it is me</button>
<button class="button quiet" name="action" value="no">No</button></form>"""
    return _page("Your bank asks", f"<p>Is it you who pays?</p>{buttons}")


def _told(work: Work, intent: Json, form: dict[str, list[str]]) -> Response:
    succeeds = form.get("action") == ["yes"]
    if intent["object"] == "setup_intent":
        authenticate_setup(work, intent, succeeds=succeeds)
    else:
        answered(work, intent, succeeds=succeeds)
    return RedirectResponse(f"/authenticate/{intent['id']}", status_code=303)


def answered(work: Work, intent: Json, *, succeeds: bool) -> Json:
    """The buyer's answer, and what it makes of the invoice that asked for the money."""
    authenticate(work, intent, succeeds=succeeds)
    if succeeds and (invoice := arrived(work, intent, outcome="succeeded")):
        after_collection(work, invoice)
    return intent
