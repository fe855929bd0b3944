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
from sandbox.stripe.hosted import answered
from sandbox.stripe.objects.cards import CHARGE_OUTCOMES
from sandbox.stripe.objects.charges import settle_charge
from sandbox.stripe.objects.cycles import after_collection, finish_cycle, renew_subscription
from sandbox.stripe.objects.disputes import close_dispute, open_dispute
from sandbox.stripe.objects.intents import end_processing
from sandbox.stripe.objects.invoices import arrived
from sandbox.stripe.objects.meter_errors import THIN
from sandbox.stripe.objects.sessions import end_async_payment, pay_session
from sandbox.stripe.objects.setup_intents import authenticate_setup
from sandbox.stripe.passing import pass_time
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, visible
from sandbox.stripe.workshop import Workshop


class Control(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Nothing(Control):
    """A control that takes no settings."""


Card: TypeAlias = Literal["ok", "declined", "insufficient_funds", "authentication_required", "async"]
CARDS: dict[Card, str] = {
    "ok": "pm_card_visa",
    "declined": "pm_card_visa_chargeDeclined",
    "insufficient_funds": "pm_card_visa_chargeDeclinedInsufficientFunds",
    "authentication_required": "pm_card_authenticationRequired",
    "async": "pm_usBankAccount_success",
}


class Payment(Control):
    card: Card = "ok"
    email: str | None = None
    country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")


class Outcome(Control):
    outcome: Literal["paid", "failed"] = "paid"


class Renewal(Outcome):
    grace: bool = False
    """Leave the invoice a draft, as Stripe does for an hour."""


class NewBehaviour(Control):
    charge: Literal[CHARGE_OUTCOMES]  # type: ignore[valid-type]  # the words stand in one place
    """How charges of a saved method end from now on; Stripe's own test cards never change."""


class Answer(Control):
    succeeds: bool = True


class Passing(Control):
    seconds: int = Field(ge=1, le=400 * 24 * 3600)


class NewDispute(Control):
    amount: int | None = None
    reason: str = "fraudulent"


class Verdict(Control):
    outcome: Literal["won", "lost"]


class Dunning(Control):
    ends: Literal["cancel", "unpaid", "past_due"]


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
    return pay_session(work, session, card=CARDS[payment.card], email=payment.email, country=payment.country)


def renew(work: Work, ident: str, renewal: Renewal) -> Json:
    """The next period begins, whatever the time is."""
    invoice = renew_subscription(work, work.get("subscription", ident))
    if invoice is not None and not renewal.grace:
        finish_cycle(work, invoice, outcome=_charged(renewal))
    return work.get("subscription", ident)


def collect(work: Work, ident: str, outcome: Outcome) -> Json:
    """Another try at an open invoice, as dunning makes; a draft is finalised first."""
    return finish_cycle(work, work.get("invoice", ident), outcome=_charged(outcome))


def _charged(outcome: Outcome) -> str:
    return "succeeded" if outcome.outcome == "paid" else "generic_decline"


def behave(work: Work, ident: str, wanted: NewBehaviour) -> Json:
    return work.change(work.get("payment_method", ident), None, _charge=wanted.charge)


def arrive(work: Work, ident: str, outcome: Outcome) -> Json:
    """A bank transfer that is on its way arrives, or does not."""
    intent, ended = work.get("payment_intent", ident), _charged(outcome)
    end_processing(work, intent, outcome=ended)
    end_async_payment(work, intent, outcome=ended)
    invoice = arrived(work, intent, outcome=ended)
    if invoice is not None:
        after_collection(work, invoice)
    return intent


def answer_bank(work: Work, ident: str, answer: Answer) -> Json:
    """The buyer authenticates a payment, or a saved card, or does not."""
    if ident.startswith("seti_"):
        return authenticate_setup(work, work.get("setup_intent", ident), succeeds=answer.succeeds)
    return answered(work, work.get("payment_intent", ident), succeeds=answer.succeeds)


def pass_on(work: Work, ident: str, passing: Passing) -> Json:
    """The stand-in's own time jumps ahead, and what was due on the way happens."""
    ahead_s = work.switches.ahead_s + passing.seconds
    work.switches.set("ahead_s", ahead_s)
    happened = pass_time(work, until=work.announced_at + passing.seconds)
    return {"ahead_s": ahead_s, "happened": happened, "now": work.announced_at + passing.seconds}


def end_dunning(work: Work, ident: str, wanted: Dunning) -> Json:
    work.switches.set("dunning_ends", wanted.ends)
    return work.switches.shown()


def dispute(work: Work, ident: str, wanted: NewDispute) -> Json:
    return open_dispute(work, work.get("charge", ident), amount_minor=wanted.amount, reason=wanted.reason)


def settle(work: Work, ident: str, _: Nothing) -> Json:
    return settle_charge(work, work.get("charge", ident))


def close(work: Work, ident: str, verdict: Verdict) -> Json:
    return close_dispute(work, work.get("dispute", ident), won=verdict.outcome == "won")


def redeliver(work: Work, ident: str, _: Nothing) -> Json:
    event = work.find(THIN, ident) or work.get("event", ident)
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
    ("/sandbox/subscriptions/{id}/renew", Renewal, renew),
    ("/sandbox/payment_methods/{id}", NewBehaviour, behave),
    ("/sandbox/payment_intents/{id}/arrive", Outcome, arrive),
    ("/sandbox/payment_intents/{id}/authenticate", Answer, answer_bank),
    ("/sandbox/setup_intents/{id}/authenticate", Answer, answer_bank),
    ("/sandbox/time", Passing, pass_on),
    ("/sandbox/dunning", Dunning, end_dunning),
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
