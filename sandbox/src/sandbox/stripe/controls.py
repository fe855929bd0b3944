"""What tests and people may make happen here, and could not ask of Stripe: `/sandbox/*`, plain JSON, no key."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.stripe.api import SeenRequest
from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.charges import settle_charge
from sandbox.stripe.objects.disputes import close_dispute, open_dispute
from sandbox.stripe.objects.invoices import collect_invoice
from sandbox.stripe.objects.sessions import pay_session
from sandbox.stripe.objects.subscriptions import collect_for_subscription, renew_subscription
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, visible
from sandbox.stripe.workshop import Workshop


class Control(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Nothing(Control):
    """A control that takes no settings."""


class Payment(Control):
    card: Literal["ok", "declined"] = "ok"
    email: str | None = None


class Outcome(Control):
    outcome: Literal["paid", "failed"] = "paid"


class NewDispute(Control):
    amount: int | None = None
    reason: str = "fraudulent"


class Verdict(Control):
    outcome: Literal["won", "lost"]


class WebhookSwitches(Control):
    url: str | None = Field(default=None, pattern=r"^(https?://.+)?$")
    """An empty one takes the address away."""
    paused: bool | None = None
    duplicate: int | None = Field(default=None, ge=0, le=20)
    shuffle: bool | None = None
    late_fees: bool | None = None


Action: TypeAlias = Callable[[Work, str, Any], Json]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def pay(work: Work, ident: str, payment: Payment) -> Json:
    session = work.get("checkout.session", ident)
    return pay_session(work, session, succeeds=payment.card == "ok", email=payment.email)


def renew(work: Work, ident: str, outcome: Outcome) -> Json:
    return renew_subscription(work, work.get("subscription", ident), succeeds=outcome.outcome == "paid")


def collect(work: Work, ident: str, outcome: Outcome) -> Json:
    """Another try at an open invoice, as dunning makes."""
    invoice = work.get("invoice", ident)
    succeeds = outcome.outcome == "paid"
    subscription = work.find("subscription", invoice["parent"]["subscription_details"]["subscription"])
    if subscription is None:
        return collect_invoice(work, invoice, succeeds=succeeds)
    collect_for_subscription(work, subscription, invoice, succeeds=succeeds)
    return invoice


def dispute(work: Work, ident: str, wanted: NewDispute) -> Json:
    return open_dispute(work, work.get("charge", ident), amount_minor=wanted.amount, reason=wanted.reason)


def settle(work: Work, ident: str, _: Nothing) -> Json:
    return settle_charge(work, work.get("charge", ident))


def close(work: Work, ident: str, verdict: Verdict) -> Json:
    return close_dispute(work, work.get("dispute", ident), won=verdict.outcome == "won")


def redeliver(work: Work, ident: str, _: Nothing) -> Json:
    event = work.get("event", ident)
    work.deliveries.insert(event)
    return event


def switch(work: Work, ident: str, wanted: WebhookSwitches) -> Json:
    for name, value in wanted.model_dump(exclude_none=True).items():
        if name == "url":
            work.switches.set("webhook_url", value or None)
        else:
            work.switches.set(name, value)
    return work.switches.shown()


CONTROLS: tuple[tuple[str, type[Control], Action], ...] = (
    ("/sandbox/checkout/{id}/pay", Payment, pay),
    ("/sandbox/subscriptions/{id}/renew", Outcome, renew),
    ("/sandbox/invoices/{id}/collect", Outcome, collect),
    ("/sandbox/charges/{id}/dispute", NewDispute, dispute),
    ("/sandbox/charges/{id}/settle", Nothing, settle),
    ("/sandbox/disputes/{id}/close", Verdict, close),
    ("/sandbox/events/{id}/redeliver", Nothing, redeliver),
    ("/sandbox/webhooks", WebhookSwitches, switch),
)


def control_routes(workshop: Workshop, seen: deque[SeenRequest]) -> list[Route]:
    def show_deliveries(request: Request) -> Response:
        with workshop.opened() as work:
            event_id = request.query_params.get("event")
            found = work.deliveries.list_for(event_id) if event_id else work.deliveries.list_all(limit=1000)
            return JSONResponse({"data": [delivery.shown() for delivery in found], "switches": work.switches.shown()})

    def show_requests(request: Request) -> Response:
        return JSONResponse({"data": [request.shown() for request in seen]})

    return [
        *(Route(path, _endpoint(workshop, model, action), methods=["POST"]) for path, model, action in CONTROLS),
        Route("/sandbox/deliveries", _awaited(show_deliveries)),
        Route("/sandbox/requests", _awaited(show_requests)),
    ]


def _awaited(answer: Callable[[Request], Response]) -> Endpoint:
    # A plain function would run in a thread, and the store belongs to this one.
    async def endpoint(request: Request) -> Response:
        return answer(request)

    return endpoint


def _endpoint(workshop: Workshop, model: type[Control], action: Action) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            wanted = model.model_validate_json(await request.body() or b"{}")
            with workshop.opened() as work:
                shown = visible(action(work, request.path_params.get("id", ""), wanted))
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            return JSONResponse(StripeError(problems).envelope(), status_code=400)
        except StripeError as refusal:
            return JSONResponse(refusal.envelope(), status_code=refusal.status)
        return JSONResponse(shown)

    return endpoint
