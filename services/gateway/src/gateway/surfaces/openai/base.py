"""What the OpenAI surfaces share: the envelope, the splicing of the body, the limit on output."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import orjson

from gateway.admission.terms import AccountTerms
from gateway.errors import Envelope, ModelApiError
from gateway.surfaces.estimates import Bounds, CallEstimate, Estimator, Vector
from gateway.surfaces.splice import spliced
from gateway.surfaces.types import Ask, Kind, ServingChoice
from rating import PriceBook

# A comment line: every client of these streams passes over it.
PING: Final = b": ping\n\n"


class OpenAiSurface:
    """See `types.Surface`."""

    name: str
    upstream_path: str
    envelope: Envelope = "openai"
    kind: Kind = "openai"
    ping: bytes = PING
    adds_to_answers: bool = False
    # Where a limit on output is written when the body names none.
    output_members: tuple[str, ...] = ()

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator

    def bounds(self, ask: Ask) -> Bounds:
        raise NotImplementedError

    def estimate(
        self, ask: Ask, choice: ServingChoice, *, book: PriceBook, terms: AccountTerms, at: datetime
    ) -> CallEstimate:
        bounds = self.bounds(ask)
        vectors = self._estimator.vectors(bounds, choice.serving_models, book=book, terms=terms, at=at)
        limit = self.output_limit(ask, vectors, terms=terms, near=choice.near)
        return self._estimator.of(bounds, vectors, book=book, at=at, limit=limit)

    def output_limit(
        self, ask: Ask, vectors: Sequence[Vector], *, terms: AccountTerms, near: bool
    ) -> tuple[int, int | None]:
        """All choices' output together, and what each one's limit must be written as.

        Without a limit in the body the plan's ceiling is written into it, else the model's own maximum holds.
        """
        choices = choices_of(ask) if "n" in ask.body else 1
        own = max(vector.tariff.max_output_tokens for vector in vectors) if ask.max_tokens is None else ask.max_tokens
        each = own
        if ask.max_tokens is None and terms.limits.max_tokens is not None:
            each = min(each, max(1, terms.limits.max_tokens // choices))
        near_limit = terms.terms.near_limit if near else None
        if near_limit is not None and near_limit.max_tokens is not None:
            each = min(each, near_limit.max_tokens)
        return each * choices, each if each < own else None

    def splice(
        self, ask: Ask, *, model: str | None = None, max_tokens: int | None = None, service_tier: str | None = None
    ) -> bytes:
        values = self.own_values(ask)
        if model is not None:
            values["model"] = orjson.dumps(model)
        if max_tokens is not None:
            named = [name for name in self.output_members if ask.body.get(name) is not None]
            for name in named or self.output_members[:1]:
                values[name] = b"%d" % max_tokens
        if service_tier is not None:
            values["service_tier"] = orjson.dumps(service_tier)
        return spliced(ask.raw, values, present=ask.body) if values else ask.raw

    def own_values(self, ask: Ask) -> dict[str, bytes]:
        """What is written into every body of this surface."""
        return {}

    def closing(self, ask: Ask, *, ending: object, price_nano: int, balance_nano: int | None) -> bytes:
        return b""

    def whole(self, ask: Ask, body: bytes, *, ending: object, price_nano: int, balance_nano: int | None) -> bytes:
        return body

    def error_body(self, error: ModelApiError, request_id: str) -> bytes:
        error.envelope = self.envelope
        return error.body(request_id)

    def error_event(self, error: ModelApiError, request_id: str) -> bytes:
        error.envelope = self.envelope
        return error.event(request_id)


def choices_of(ask: Ask) -> int:
    count = ask.body.get("n")
    return count if type(count) is int and count > 1 else 1
