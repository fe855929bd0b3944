"""`POST /generate`: `{prompt, model?, max_tokens?}` in, a text out; one request unit where the plan counts those."""

import orjson

from gateway.errors import ModelApiError
from gateway.surfaces.aliases.answers import money_of, told, usage_of
from gateway.surfaces.aliases.bodies import asked, body_of, prompted, required
from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.types import Ask, AskedExchange

_FIELDS = frozenset({"prompt", "model", "max_tokens"})


class GenerateSurface(MessagesSurface):
    """Never streamed, and nothing but its three fields."""

    name = "/generate"
    adds_to_answers = True

    def parse(self, exchange: AskedExchange) -> Ask:
        body = body_of(exchange)
        unknown = sorted(body.keys() - _FIELDS)
        if unknown:
            raise ModelApiError(400, f"{unknown[0][:80]}: Extra inputs are not permitted")
        required(body, "prompt")
        return asked(prompted(body), streamed=False)

    def whole(self, ask: Ask, body: bytes, *, ending: object, price_nano: int, balance_nano: int | None) -> bytes:
        message = told(body)
        if message is None:
            return body
        return orjson.dumps({
            "id": message.id,
            "model": message.model,
            "text": message.text,
            "stop_reason": message.stop_reason,
            "usage": usage_of(ending),
            **money_of(price_nano, balance_nano),
        })  # fmt: skip
