"""`POST /v1/responses`, for any provider with that address.

Refused, because it could not be metered: `background`, stored prompts, tools that the provider runs. A conversation
that the provider keeps (`previous_response_id`, `conversation`) reserves the model's whole window as input.
"""

from gateway.surfaces.estimates import Bounds
from gateway.surfaces.openai.base import OpenAiSurface
from gateway.surfaces.openai.bounds import responses_bounds
from gateway.surfaces.openai.responses_tee import ResponsesMessageTee, ResponsesStreamTee
from gateway.surfaces.openai.unmetered import refuse_unmetered_responses
from gateway.surfaces.parsing import count_of, flag_of, named_model, parse_object
from gateway.surfaces.types import Ask, AskedExchange


class ResponsesSurface(OpenAiSurface):
    """The last event of a stream always carries the usage."""

    name = "/v1/responses"
    upstream_path = "/v1/responses"
    envelope = "openai-responses"
    output_members = ("max_output_tokens",)

    def parse(self, exchange: AskedExchange) -> Ask:
        body = parse_object(exchange.body)
        model = named_model(body)
        max_tokens = count_of(body, "max_output_tokens")
        streamed = flag_of(body, "stream")
        refuse_unmetered_responses(body)
        return Ask(exchange.body, body, model, max_tokens, streamed)

    def bounds(self, ask: Ask) -> Bounds:
        return responses_bounds(ask)

    def stream_tee(self, ask: Ask) -> ResponsesStreamTee:
        return ResponsesStreamTee()

    def message_tee(self, ask: Ask, body: bytes) -> ResponsesMessageTee:
        return ResponsesMessageTee(body)
