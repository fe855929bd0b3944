"""`POST /v1/quote`: what a body would cost, before it is sent. Nothing is taken, and no provider is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import ValidationError

from gateway.admission.caller import Admission
from gateway.admission.types import Amounts
from gateway.catalog.prices import PriceBooks
from gateway.dataplane.elastic import first_step
from gateway.entrypoints.operation_schemas import HoldRequest, UsageRequest
from gateway.entrypoints.own_api import OwnApi, OwnRoute, errors
from gateway.entrypoints.own_schemas import QuoteAnswer, QuotedAmounts, QuotedObstacle, QuotedPayment
from gateway.errors import ModelApiError
from gateway.identity.credential import Credential
from gateway.operations.admitting import project_of
from gateway.operations.desk import HOLDS, USAGE
from gateway.operations.pricing import wanted_operation, worst_amounts
from gateway.operations.quoting import Payment, Quote, quote
from gateway.operations.standing import OwnStanding
from gateway.routing.routing import Routing
from gateway.surfaces.amount_text import credits_text
from gateway.surfaces.refusals import may_read_balance
from gateway.surfaces.types import Surface
from kit.clock import Clock
from rating import PriceBook

QUOTE: Final = "/v1/quote"
_IN_NANO: Final = frozenset({"credit", "overage"})
_OPERATIONS: Final[Mapping[str, type[UsageRequest]]] = {USAGE: UsageRequest, HOLDS: HoldRequest}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "The body, byte for byte as it would be sent to the surface that `surface` names.",
        "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
    }
}

SurfaceName = Annotated[str, Query(max_length=100, description="the path that the body would be sent to")]


class Valued(NamedTuple):
    """A body as it would be admitted."""

    asked: str
    model: str
    worst: Amounts
    likely: Amounts
    held: Amounts
    max_tokens: int
    book_version: int


@dataclass(slots=True)
class Read:
    """What a surface reads of a request."""

    body: bytes
    headers: Mapping[str, str]

    def header(self, name: bytes) -> bytes | None:
        found = self.headers.get(name.decode())
        return None if found is None else found.encode()


@dataclass(frozen=True, slots=True)
class Quoting:
    """What a quote is made from: the parts that admit the call itself."""

    admission: Admission
    routing: Routing
    prices: PriceBooks
    surfaces: Mapping[str, Surface]
    clock: Clock

    def value(self, standing: OwnStanding, credential: Credential, *, surface: str, read: Read) -> Valued:
        """Raises `ModelApiError` for a body that the surface would refuse."""
        now = self.clock.now()
        book = self.prices.in_force(now)
        if surface in _OPERATIONS:
            return self._operation(standing, surface, read, book=book)
        found = self.surfaces.get(surface)
        if found is None:
            known = ", ".join(sorted([*self.surfaces, *_OPERATIONS]))
            raise ModelApiError(400, f"surface: Input should be one of {known}")
        return self._call(standing, credential, found, read, book=book, at=now)

    def _call(
        self,
        standing: OwnStanding,
        credential: Credential,
        surface: Surface,
        read: Read,
        *,
        book: PriceBook,
        at: datetime,
    ) -> Valued:
        terms = standing.account.terms
        ask = surface.parse(read)
        credential.check(surface.name, ask.model)
        choice = self.routing.choose(ask.model, kind=surface.kind, terms=terms, conversation=b"", near=standing.is_near)
        estimate = surface.estimate(ask, choice, book=book, terms=terms, at=at)
        worst = held = estimate.worst()
        if ask.streamed and terms.admission == "elastic":
            held = estimate.with_output(first_step(estimate, terms.terms.elastic_step_tokens))
        return Valued(ask.model, choice.model, worst, estimate.likely(), held, estimate.max_tokens, book.version)

    @staticmethod
    def _operation(standing: OwnStanding, surface: str, read: Read, *, book: PriceBook) -> Valued:
        try:
            body = _OPERATIONS[surface].model_validate(_object(read.body))
        except ValidationError as error:
            raise ModelApiError(400, _named(error)) from None
        project_of(standing.caller, body.project)
        wanted = wanted_operation(book, name=body.operation, quantity=body.quantity, unit=body.unit)
        worst = worst_amounts(book, wanted, terms=standing.account.terms)
        return Valued(body.operation, body.operation, worst, worst, worst, 0, book.version)


def build_router(quoting: Quoting, own: OwnApi) -> APIRouter:
    router = APIRouter(tags=["models"], route_class=OwnRoute)

    @router.post(
        QUOTE,
        summary="What a call would cost, and whether it would be admitted now",
        operation_id="quote",
        responses=errors(400, 401, 403, 404, 503),
        openapi_extra=_BODY,
    )
    async def answer(request: Request, surface: SurfaceName = "/v1/messages") -> QuoteAnswer:
        credential = await own.credential(request, route=QUOTE)
        caller = credential.caller
        account = await quoting.admission.state(caller.account_id)
        standing = OwnStanding(account, caller, caller.project_id)
        read = Read(await request.body(), request.headers)
        valued = quoting.value(standing, credential, surface=surface, read=read)
        found = quote(
            standing,
            model=valued.model,
            worst=valued.worst,
            likely=valued.likely,
            held=valued.held,
            max_tokens=valued.max_tokens,
        )
        sees_balance = may_read_balance(caller)
        return _answer(found, standing, valued, surface=surface, sees_balance=sees_balance)

    return router


def _answer(found: Quote, standing: OwnStanding, valued: Valued, *, surface: str, sees_balance: bool) -> QuoteAnswer:
    terms, obstacle = standing.account.terms, found.obstacle
    return QuoteAnswer(
        surface=surface,
        model_asked=valued.asked,
        model=found.model,
        unit=terms.terms.unit.value,
        worst=_amounts(found.worst),
        likely=_amounts(found.likely),
        held=_amounts(found.held),
        paid_by=[_payment(one) for one in found.payments] if sees_balance else None,
        short_by=credits_text(found.unpaid_nano) if sees_balance else None,
        admitted=obstacle is None,
        obstacle=None if obstacle is None else QuotedObstacle(**obstacle._asdict()),
        price_book_version=valued.book_version,
        plan=terms.plan_id,
        plan_version=terms.plan_version,
        markup_bps=terms.markup_for(found.model),
    )


def _amounts(amounts: Amounts) -> QuotedAmounts:
    return QuotedAmounts(
        credits=credits_text(amounts.credit_nano),
        tokens=amounts.tokens,
        requests=amounts.requests,
        overage_credits=credits_text(amounts.overage_nano),
    )


def _payment(payment: Payment) -> QuotedPayment:
    amount = credits_text(payment.amount) if payment.payer in _IN_NANO else str(payment.amount)
    return QuotedPayment(payer=payment.payer, amount=amount)


def _object(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ModelApiError(400, "The request body is not valid JSON") from None


def _named(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'body'}: {first['msg']}"
