"""The routes of this half; the server, its log of calls and its scenarios are the other half's too."""

import orjson

from sandbox.provider.events import Frame
from sandbox.provider.exchange import Exchange, new_id
from sandbox.provider.openai import chat, responses
from sandbox.provider.openai.embeddings import embeddings
from sandbox.provider.openai.errors import OpenAIError
from sandbox.provider.openai.models import EMBEDDING, Known, known
from sandbox.provider.openai.reply import reply_to
from sandbox.provider.openai.request import Body, ChatBody, EmbeddingsBody, ResponsesBody, parse
from sandbox.provider.scenario import HEADERS, Scenario, scenario_of
from sandbox.provider.stream import play_body, play_frames

PATHS = frozenset({"/v1/chat/completions", "/v1/responses", "/v1/embeddings"})


async def chat_completions(exchange: Exchange) -> None:
    body = parse(await exchange.read_body(), shape=ChatBody)
    scenario, model = _asked(exchange, body, stream=bool(body.stream))
    _check_output(model, body.max_completion_tokens or body.max_tokens)
    reply = reply_to(chat.ask_of(body), scenario=scenario)
    usage = chat.usage_of(reply.counts, choices=body.n or 1)
    await _begin(exchange, scenario, usage=usage)
    call_id = new_id("x")[2:]
    if body.stream:
        frames = list(chat.chunks(body, reply, call_id=call_id, scenario=scenario))
        await play_frames(exchange, frames, error=_error_frame(exchange, scenario), scenario=scenario)
    else:
        answer = orjson.dumps(chat.completion(body, reply, call_id=call_id))
        await play_body(exchange, answer, usage=usage, scenario=scenario)


async def create_response(exchange: Exchange) -> None:
    body = parse(await exchange.read_body(), shape=ResponsesBody)
    scenario, model = _asked(exchange, body, stream=bool(body.stream))
    _check_output(model, body.max_output_tokens)
    reply = reply_to(responses.ask_of(body), scenario=scenario)
    usage = responses.usage_of(reply.counts)
    await _begin(exchange, scenario, usage=usage)
    call_id = new_id("x")[2:]
    if body.stream:
        frames = list(responses.events(body, reply, call_id=call_id))
        await play_frames(exchange, frames, error=_error_event(exchange, scenario), scenario=scenario)
    else:
        answer = orjson.dumps(responses.response(body, reply, call_id=call_id))
        await play_body(exchange, answer, usage=usage, scenario=scenario)


async def create_embeddings(exchange: Exchange) -> None:
    body = parse(await exchange.read_body(), shape=EmbeddingsBody)
    scenario, model = _asked(exchange, body, stream=False)
    if model.id != EMBEDDING:
        raise OpenAIError(404, f"The model `{model.id}` does not make embeddings.", param="model")
    answer = embeddings(body, model=scenario.served_model or model.id, input_tokens=scenario.input_tokens)
    await _begin(exchange, scenario, usage=answer["usage"])
    await play_body(exchange, orjson.dumps(answer), usage=answer["usage"], scenario=scenario)


def _asked(exchange: Exchange, body: Body, *, stream: bool) -> tuple[Scenario, Known]:
    """The scenario and the model of a call, entered into the log."""
    name, _, suffix = body.model.partition("@")
    model, scenario = known(name), scenario_of(exchange.headers, suffix=suffix)
    if exchange.call is not None:
        exchange.call.model, exchange.call.stream = model.id, stream
        exchange.call.scenario = ";".join(filter(None, (suffix, *map(exchange.headers.get, HEADERS))))
    return scenario, model


def _check_output(model: Known, wanted: int | None) -> None:
    if wanted is not None and wanted > model.most_output_tokens:
        most = model.most_output_tokens
        raise OpenAIError(400, f"max_tokens is too large: {wanted}. This model supports at most {most}.")


async def _begin(exchange: Exchange, scenario: Scenario, *, usage: dict[str, object]) -> None:
    """Enter what the whole answer will cost; raise the error that was asked for in its place."""
    if exchange.call is not None:
        exchange.call.usage_if_finished = usage
    if error := scenario.refusal():
        await exchange.pause(scenario.first_byte_ms / 1000)
        raise error


def _error_frame(exchange: Exchange, scenario: Scenario) -> Frame:
    """How a stream of chunks says that it broke."""
    error = scenario.stream_error()
    return Frame(b"data: %b\n\n" % OpenAIError(error.status, error.message).envelope(exchange.request_id))


def _error_event(exchange: Exchange, scenario: Scenario) -> Frame:
    """How a stream of events says that it broke."""
    error = scenario.stream_error()
    payload = {"type": "error", "code": "server_error", "message": error.message, "param": None, "sequence_number": 0}
    return Frame(b"event: error\ndata: %b\n\n" % orjson.dumps(payload))
