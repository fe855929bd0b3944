"""`POST /v1/chat/completions`, for any provider with that address."""

from collections.abc import Mapping

from gateway.errors import ModelApiError
from gateway.surfaces.estimates import Bounds
from gateway.surfaces.openai.base import OpenAiSurface
from gateway.surfaces.openai.bounds import chat_bounds
from gateway.surfaces.openai.chat_tee import ChatMessageTee, ChatStreamTee
from gateway.surfaces.openai.unmetered import refuse_unmetered_chat
from gateway.surfaces.parsing import count_of, flag_of, named_model, parse_object
from gateway.surfaces.splice import spliced, value_of
from gateway.surfaces.types import Ask, AskedExchange

_MOST_CHOICES = 128


class ChatSurface(OpenAiSurface):
    """A stream's usage is always asked for; its chunk goes out only to clients that asked for it too."""

    name = "/v1/chat/completions"
    upstream_path = "/v1/chat/completions"
    output_members = ("max_completion_tokens", "max_tokens")

    def parse(self, exchange: AskedExchange) -> Ask:
        body = parse_object(exchange.body)
        model = named_model(body)
        max_tokens = count_of(body, "max_completion_tokens")
        older = count_of(body, "max_tokens")
        if older is not None:
            # Providers differ in which one they obey.
            max_tokens = older if max_tokens is None else max(max_tokens, older)
        if "n" in body:
            count_of(body, "n", least=1, most=_MOST_CHOICES)
        streamed = flag_of(body, "stream")
        refuse_unmetered_chat(body)
        return Ask(exchange.body, body, model, max_tokens, streamed, _wants_usage(body))

    def bounds(self, ask: Ask) -> Bounds:
        return chat_bounds(ask)

    def own_values(self, ask: Ask) -> dict[str, bytes]:
        if not ask.streamed or ask.wants_usage:
            return {}
        options = ask.body.get("stream_options") or {}
        written = value_of(ask.raw, "stream_options") if options else None
        if written is None:
            return {"stream_options": b'{"include_usage":true}'}
        return {"stream_options": spliced(written, {"include_usage": b"true"}, present=options)}

    def stream_tee(self, ask: Ask) -> ChatStreamTee:
        return ChatStreamTee(wants_usage=ask.wants_usage)

    def message_tee(self, ask: Ask, body: bytes) -> ChatMessageTee:
        return ChatMessageTee(body)


def _wants_usage(body: Mapping[str, object]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise ModelApiError(400, "stream_options: Input should be a valid object")
    return flag_of(options, "include_usage")
