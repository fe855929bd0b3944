"""`POST /v1/embeddings`: input without output."""

from collections.abc import Sequence

import orjson

from gateway.admission.terms import AccountTerms
from gateway.errors import ModelApiError
from gateway.surfaces.estimates import Bounds, Vector
from gateway.surfaces.openai.base import OpenAiSurface
from gateway.surfaces.openai.bounds import embeddings_bounds
from gateway.surfaces.openai.chat_tee import ChatStreamTee
from gateway.surfaces.openai.counts import usage_of
from gateway.surfaces.parsing import named_model, parse_object
from gateway.surfaces.types import Ask, AskedExchange
from gateway.usage.seen import UsageSeen


class EmbeddingsSurface(OpenAiSurface):
    name = "/v1/embeddings"
    upstream_path = "/v1/embeddings"

    def parse(self, exchange: AskedExchange) -> Ask:
        body = parse_object(exchange.body)
        if body.get("input") is None:
            raise ModelApiError(400, "input: Field required")
        return Ask(exchange.body, body, named_model(body), 0, streamed=False)

    def bounds(self, ask: Ask) -> Bounds:
        return embeddings_bounds(ask)

    def output_limit(
        self, ask: Ask, vectors: Sequence[Vector], *, terms: AccountTerms, near: bool
    ) -> tuple[int, int | None]:
        return 0, None

    def stream_tee(self, ask: Ask) -> ChatStreamTee:
        return ChatStreamTee(wants_usage=True)

    def message_tee(self, ask: Ask, body: bytes) -> "EmbeddingsTee":
        return EmbeddingsTee(body)


class EmbeddingsTee:
    """See `types.MessageTee`."""

    __slots__ = ("has_content", "is_message", "seen")

    def __init__(self, body: bytes) -> None:
        self.seen = UsageSeen()
        self.has_content = False
        self.is_message = False
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            return
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
            return
        self.is_message = True
        self.has_content = bool(answer["data"])
        if isinstance(model := answer.get("model"), str):
            self.seen.model = model
        if (usage := usage_of(answer.get("usage"))) is not None:
            # The total is the input again; there is no output that could be in it.
            self.seen.usage({**usage, "output_tokens": 0})

    @property
    def delivered_tokens(self) -> int:
        return 0
