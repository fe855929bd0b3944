"""`POST /api/claude/stream`: messages and perhaps a screenshot in, Anthropic's events out, and what it cost."""

import orjson

from gateway.surfaces.aliases.answers import money_of, usage_of
from gateway.surfaces.aliases.bodies import asked, body_of, required, with_image
from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.types import Ask, AskedExchange


class ClaudeStreamSurface(MessagesSurface):
    """Always streamed; every event of the provider passes untouched, then one `usage` event follows."""

    name = "/api/claude/stream"
    adds_to_answers = True

    def parse(self, exchange: AskedExchange) -> Ask:
        body = body_of(exchange)
        required(body, "messages")
        return asked(with_image(body), streamed=True)

    def closing(self, ask: Ask, *, ending: object, price_nano: int, balance_nano: int | None) -> bytes:
        usage = {"type": "usage", **usage_of(ending), **money_of(price_nano, balance_nano)}
        return b"event: usage\ndata: " + orjson.dumps(usage) + b"\n\n"
