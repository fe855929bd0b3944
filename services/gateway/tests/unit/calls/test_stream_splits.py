"""However the network cuts a provider's answer, the client gets the same bytes and the event the same usage."""

import json
import random

import pytest

from gateway.surfaces.estimates import Estimator
from gateway.surfaces.openai.chat import ChatSurface
from gateway.surfaces.openai.responses import ResponsesSurface

from . import answers
from .world import MODEL, target

SEEDS = range(60)


def cut(data: bytes, *, seed: int) -> list[bytes]:
    """Into reads: single bytes, a few large ones, or anything between."""
    chance = random.Random(seed)
    if seed == 0:
        return [data[at : at + 1] for at in range(len(data))]
    most = chance.choice([2, 7, 40, 300, 5000])
    found, at = [], 0
    while at < len(data):
        size = chance.randint(1, most)
        found.append(data[at : at + size])
        at += size
    return found


def chunked(data: bytes, *, seed: int) -> bytes:
    """In chunks that fall anywhere, as a provider or a proxy before it may send them."""
    return b"".join(answers.chunk(part) for part in cut(data, seed=seed + 1)) + answers.END


def sse(payload: dict) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


def chat_stream(*, with_usage: bool) -> bytes:
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    words = [
        sse({**base, "choices": [{"index": 0, "delta": {"content": f" wörd{n}"}, "finish_reason": None}]})
        for n in range(20)
    ]
    stop = sse({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    counts = {"prompt_tokens": 25, "completion_tokens": 42, "total_tokens": 67}
    usage = sse({**base, "choices": [], "usage": counts}) if with_usage else b""
    return b"".join(words) + stop + usage + b"data: [DONE]\n\n"


async def run(world, stream: bytes, *, seed: int, **ask) -> tuple[bytes, tuple]:
    _, client = await world.call(stream=True, **ask)
    for read in cut(answers.STREAM_HEAD + chunked(stream, seed=seed), seed=seed):
        world.provider.say(read)
    usage = world.publisher.usage
    assert client.ended
    return client.body, (usage.outcome, usage.basis, usage.counts, usage.model_served, world.admission.settled)


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_split_gives_the_same_bytes_and_the_same_usage(world_of, seed):
    stream = answers.stream()
    body, seen = await run(world_of(), stream, seed=seed)
    whole, expected = await run(world_of(), stream, seed=10**6)

    assert body == whole == stream
    assert seen == expected
    assert seen[:2] == ("completed", "provider")
    assert (seen[2].input_tokens, seen[2].output_tokens) == (25, 42)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("asks_for_usage", [True, False])
async def test_any_split_of_a_chat_stream_too(world_of, seed, asks_for_usage):
    world = world_of(surface=ChatSurface(Estimator()), targets=(target(kind="openai"),))
    ask = {"stream_options": {"include_usage": True}} if asks_for_usage else {}

    body, seen = await run(world, chat_stream(with_usage=True), seed=seed, **ask)

    assert body == chat_stream(with_usage=asks_for_usage)
    assert seen[:2] == ("completed", "provider")
    assert (seen[2].input_tokens, seen[2].output_tokens) == (25, 42)


@pytest.mark.parametrize("seed", range(20))
async def test_any_split_of_a_responses_stream_too(world_of, seed):
    def event(name: str, **members) -> bytes:
        return f"event: {name}\ndata: {json.dumps({'type': name, **members})}\n\n".encode()

    usage = {"input_tokens": 25, "output_tokens": 42, "total_tokens": 67}
    response = {"id": "resp_1", "object": "response", "model": MODEL, "status": "completed", "usage": usage}
    stream = (
        event("response.created", response={**response, "status": "in_progress", "usage": None})
        + b"".join(event("response.output_text.delta", delta=f" word{n}") for n in range(10))
        + event("response.completed", response=response)
    )
    world = world_of(surface=ResponsesSurface(Estimator()), targets=(target(kind="openai"),))

    body, seen = await run(world, stream, seed=seed, input="Hello", max_output_tokens=100)

    assert body == stream
    assert seen[:2] == ("completed", "provider")
    assert (seen[2].input_tokens, seen[2].output_tokens) == (25, 42)


@pytest.mark.parametrize("seed", range(20))
async def test_any_split_of_a_whole_answer_too(world_of, seed):
    world = world_of()
    _, client = await world.call()

    for read in cut(answers.whole(answers.message()), seed=seed):
        world.provider.say(read)

    assert client.body == answers.message()
    assert world.publisher.usage.counts.output_tokens == 42


@pytest.mark.parametrize("seed", range(1, 20))
async def test_a_stream_that_breaks_anywhere_ends_with_an_error_between_events(world_of, seed):
    """(money.md 13)."""
    stream = answers.stream()
    kept = random.Random(seed).randrange(len(answers.start()), len(stream) - len(answers.event("message_stop")))
    world = world_of()
    _, client = await world.call(stream=True)

    for read in cut(answers.STREAM_HEAD + answers.chunk(stream)[: kept + 6], seed=seed):
        world.provider.say(read)
    world.provider.last.lose(None)
    await world.turn()

    passed, _, error = client.body.rpartition(b"event: error")
    assert stream.startswith(passed)
    assert passed.endswith(b"\n\n")
    assert b"api_error" in error
    assert len(world.publisher.events) == 1
    assert world.publisher.usage.outcome == "truncated"
