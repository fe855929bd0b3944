"""`POST /v1/messages`: Anthropic's own wire format, passed on byte for byte."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import orjson

from gateway.admission.terms import AccountTerms
from gateway.errors import ModelApiError
from gateway.surfaces.anthropic.ask import parse_ask
from gateway.surfaces.anthropic.bounds import bounds_of, named_fallbacks, refuse_barred, serving_models
from gateway.surfaces.anthropic.tee import AnthropicMessageTee, AnthropicStreamTee
from gateway.surfaces.estimates import CallEstimate, Estimator
from gateway.surfaces.splice import spliced
from gateway.surfaces.types import Ask, AskedExchange, Kind, ServingChoice
from rating import PriceBook

PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'


class MessagesSurface:
    """See `types.Surface`."""

    name: str = "/v1/messages"
    kind: Kind = "anthropic"
    upstream_path: str = "/v1/messages"
    ping: bytes = PING
    adds_to_answers: bool = False

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator

    def parse(self, exchange: AskedExchange) -> Ask:
        return parse_ask(exchange.body)

    def estimate(
        self, ask: Ask, choice: ServingChoice, *, book: PriceBook, terms: AccountTerms, at: datetime
    ) -> CallEstimate:
        bounds = bounds_of(ask, model=choice.model)
        models = choice.serving_models
        if "fallbacks" in ask.body:
            models = serving_models(ask, models, book=book)
        if terms.models is not None:
            others = (*(named_fallbacks(ask.body) or ()), *(inner.model for inner in bounds.inner))
            refuse_barred(others, allowed=terms.models | {choice.model}, book=book)
        vectors = self._estimator.vectors(bounds, models, book=book, terms=terms, at=at)
        asked = ask.max_tokens or 0
        max_tokens = _lowered(ask, asked, terms=terms) if choice.near else asked
        limit = max_tokens, max_tokens if max_tokens < asked else None
        return self._estimator.of(bounds, vectors, book=book, at=at, limit=limit)

    def splice(
        self, ask: Ask, *, model: str | None = None, max_tokens: int | None = None, service_tier: str | None = None
    ) -> bytes:
        values: dict[str, bytes] = {}
        if model is not None:
            values["model"] = orjson.dumps(model)
        if max_tokens is not None:
            values["max_tokens"] = b"%d" % max_tokens
        if service_tier is not None:
            values["service_tier"] = orjson.dumps(service_tier)
        return spliced(ask.raw, values, present=ask.body) if values else ask.raw

    def stream_tee(self, ask: Ask) -> AnthropicStreamTee:
        return AnthropicStreamTee()

    def message_tee(self, ask: Ask, body: bytes) -> AnthropicMessageTee:
        return AnthropicMessageTee(body)

    def closing(self, ask: Ask, *, ending: object, price_nano: int, balance_nano: int | None) -> bytes:
        return b""

    def whole(self, ask: Ask, body: bytes, *, ending: object, price_nano: int, balance_nano: int | None) -> bytes:
        return body

    def error_body(self, error: ModelApiError, request_id: str) -> bytes:
        return error.body(request_id)

    def error_event(self, error: ModelApiError, request_id: str) -> bytes:
        return error.event(request_id)


def _lowered(ask: Ask, asked: int, *, terms: AccountTerms) -> int:
    """What a plan leaves of `max_tokens` near its limit; thinking needs more than its own budget."""
    near_limit = terms.terms.near_limit
    if near_limit is None or near_limit.max_tokens is None:
        return asked
    thinking = ask.body.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    least = budget + 1 if type(budget) is int and 0 <= budget < asked else 0
    return min(asked, max(near_limit.max_tokens, least))
