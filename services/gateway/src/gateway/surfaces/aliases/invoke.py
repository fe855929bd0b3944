"""`POST /api/v1/llm/invoke` and `/api/v1/llm/test`: a prompt or messages in, one JSON answer out."""

from typing import Final

import orjson

from gateway.surfaces.aliases.answers import money_of, told, usage_of
from gateway.surfaces.aliases.bodies import asked, body_of, prompted, required
from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.types import Ask, AskedExchange

_TRIED_PROMPT: Final = "Answer with the word OK."
_TRIED_MAX_TOKENS: Final = 16


class InvokeSurface(MessagesSurface):
    """Never streamed."""

    name = "/api/v1/llm/invoke"
    adds_to_answers = True

    def parse(self, exchange: AskedExchange) -> Ask:
        body = prompted(body_of(exchange))
        required(body, "messages")
        return asked(body, streamed=False)

    def whole(self, ask: Ask, body: bytes, *, ending: object, price_nano: int, balance_nano: int | None) -> bytes:
        message = told(body)
        if message is None:
            return body
        return orjson.dumps({
            "id": message.id,
            "model": message.model,
            "content": message.text,
            "stop_reason": message.stop_reason,
            "usage": usage_of(ending),
            **money_of(price_nano, balance_nano),
        })  # fmt: skip


class TryOutSurface(InvokeSurface):
    """A small paid call, to see whether everything works."""

    name = "/api/v1/llm/test"

    def parse(self, exchange: AskedExchange) -> Ask:
        body = body_of(exchange)
        if body.get("messages") is None and body.get("prompt") is None:
            body["prompt"] = _TRIED_PROMPT
        if body.get("max_tokens") is None:
            body["max_tokens"] = _TRIED_MAX_TOKENS
        return asked(prompted(body), streamed=False)
