"""The OpenAI tees: any split gives the same bytes and the same usage; a usage chunk of ours does not go out."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.surfaces.openai.chat_tee import ChatMessageTee, ChatStreamTee
from gateway.surfaces.openai.counts import usage_of
from gateway.surfaces.openai.embeddings import EmbeddingsTee
from gateway.surfaces.openai.responses_tee import ResponsesMessageTee, ResponsesStreamTee
from rating import TokenCounts

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 40,
    "total_tokens": 140,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 30},
}
COUNTS = TokenCounts(input_tokens=36, cache_read_tokens=64, output_tokens=40)


def data(payload: object) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def chunk(choices: list[object], **more: object) -> bytes:
    head = {"id": "c-1", "object": "chat.completion.chunk", "model": "gpt", "service_tier": "default"}
    return data({**head, "choices": choices, **more})


def said(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    return chunk([choice], usage=None, **more)


OURS = chunk([], usage=USAGE)
DONE = b"data: [DONE]\n\n"
CHAT = b"".join(
    [
        b": OPENROUTER PROCESSING\n\n",
        chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}], usage=None),
        said("Hello"),
        said('a "quoted" \\ wörd 🚋'),
        said('"usage":{"prompt_tokens":9}'),
        said('"'),
        chunk([{"index": 0, "delta": {"reasoning": "hm"}, "finish_reason": None}]),
        chunk([{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}}]),
        b'data: {"choices":\r\ndata: [{"index":0,"delta":{"content":"two lines"}}]}\r\n\r\n',
        chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=None),
        OURS,
        DONE,
    ]
)


def play(tee, stream: bytes, cuts: list[int]) -> bytes:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return b"".join(tee.feed(stream[begin:end]) for begin, end in pairwise(places))


def event_ends(stream: bytes) -> list[int]:
    return [at + 2 for at in range(len(stream)) if stream.startswith(b"\n\n", at)]


WHOLE = ChatStreamTee(wants_usage=True)
WHOLE.feed(CHAT)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(st.integers(0, len(CHAT)), max_size=40), st.just(event_ends(CHAT))), st.booleans())
def test_any_split_of_a_chat_gives_the_same_bytes_and_usage(cuts: list[int], wants_usage: bool):  # noqa: FBT001
    tee = ChatStreamTee(wants_usage=wants_usage)
    out = play(tee, CHAT, cuts)

    assert out + tee.rest() == (CHAT if wants_usage else CHAT.replace(OURS, b""))
    assert tee.rest() == DONE
    assert (tee.terminal, tee.has_content) == ("stop", True)
    assert tee.seen.counts() == COUNTS
    assert (tee.seen.model, tee.seen.stop_reason, tee.seen.service_tier) == ("gpt", "stop", "standard")
    assert tee.delivered_tokens == WHOLE.delivered_tokens > 0


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=20))
def test_garbage_passes_unchanged(stream: bytes, cuts: list[int]):
    for tee in (ChatStreamTee(wants_usage=True), ResponsesStreamTee()):
        assert play(tee, stream, cuts) + tee.rest() == stream


def test_usage_beside_choices_is_the_providers_and_stays():
    last = chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=USAGE)
    tee = ChatStreamTee(wants_usage=False)
    assert tee.feed(last + DONE) == last
    assert tee.seen.counts() == COUNTS


def test_groqs_own_place_for_usage_is_read():
    tee = ChatStreamTee(wants_usage=False)
    last = chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}], x_groq={"id": "r", "usage": USAGE})
    assert tee.feed(said("x") + last) == said("x") + last
    assert tee.seen.counts() == COUNTS


def test_usage_behind_a_null_one_is_read():
    tee = ChatStreamTee(wants_usage=True)
    tee.feed(said("x") + said("y", x_groq={"usage": USAGE}))
    assert tee.seen.counts() == COUNTS


def test_without_usage_there_is_what_was_delivered():
    tee = ChatStreamTee(wants_usage=False)
    tee.feed(said("x" * 400) + DONE)
    assert not tee.seen.said_anything
    assert tee.delivered_tokens == 100


def test_an_error_in_mid_stream_is_held_and_named():
    tee = ChatStreamTee(wants_usage=False)
    error = data({"error": {"message": "busy", "type": "server_error", "code": 502}, "choices": []})
    assert tee.feed(said("x") + error + DONE) == said("x")
    assert (tee.terminal, tee.error_type, tee.rest()) == ("error", "server_error", error + DONE)


def test_an_empty_delta_is_no_content_and_a_filter_is_a_refusal():
    tee = ChatStreamTee(wants_usage=False)
    tee.feed(chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]))
    tee.feed(chunk([{"index": 0, "delta": {}, "finish_reason": "content_filter"}]))
    assert (tee.has_content, tee.seen.stop_reason) == (False, "refusal")


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (USAGE, COUNTS),
        ({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3, "total_tokens": 12},
         TokenCounts(input_tokens=5, cache_read_tokens=4, output_tokens=3)),
        # Reasoning that is only in the total.
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115},
         TokenCounts(input_tokens=10, output_tokens=105)),
        # A gateway that names cache writes and its own cost.
        ({"prompt_tokens": 20, "completion_tokens": 1, "cost": 0.5,
          "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 8}},
         TokenCounts(input_tokens=7, cache_read_tokens=5, cache_write_5m_tokens=8, output_tokens=1)),
        ({"prompt_tokens": 20, "completion_tokens": 0, "total_tokens": 20, "prompt_tokens_details": None},
         TokenCounts(input_tokens=20)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, TokenCounts()),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}, TokenCounts(cache_read_tokens=3)),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4, "completion_tokens": 2}, TokenCounts(
            input_tokens=5, cache_read_tokens=4, output_tokens=2)),
    ],
)  # fmt: skip
def test_every_providers_usage_is_mapped_without_overlap(usage: dict[str, object], counts: TokenCounts):
    tee = ChatMessageTee(orjson.dumps({"choices": [], "usage": usage}))
    assert tee.seen.counts() == counts
    assert tee.seen.said_anything


@pytest.mark.parametrize(
    "usage", [None, {}, [], {"prompt_tokens": None}, {"prompt_tokens": "5"}, {"prompt_tokens": True}]
)
def test_what_is_no_usage_says_nothing(usage: object):
    assert usage_of(usage) is None
    tee = ChatMessageTee(orjson.dumps({"choices": [], "usage": usage}))
    assert not tee.seen.said_anything


def test_a_whole_chat_answer_is_read():
    answer = {
        "model": "gpt",
        "service_tier": "flex",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * 40}, "finish_reason": "length"}],
    }
    tee = ChatMessageTee(orjson.dumps(answer))
    assert (tee.is_message, tee.has_content, tee.delivered_tokens) == (True, True, 10)
    assert (tee.seen.model, tee.seen.stop_reason) == ("gpt", "length")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":{}}', b'{"choices":null}', b'{"data":null}'])
def test_what_is_no_answer_is_none(body: bytes):
    for tee in (ChatMessageTee(body), ResponsesMessageTee(body), EmbeddingsTee(body)):
        assert tee.is_message is False


def named(name: str, **members: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, "sequence_number": 1, **members}))


RESPONSE_USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 64},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 30},
    "total_tokens": 140,
}
ENDED = {"model": "gpt-5", "status": "completed", "output": [{"type": "message"}], "usage": RESPONSE_USAGE,
         "service_tier": "default"}  # fmt: skip
COMPLETED = named("response.completed", response=ENDED)
RESPONSE = b"".join(
    [
        named("response.created", response={"model": "gpt-5", "status": "in_progress", "usage": None}),
        named("response.output_item.added", item={"type": "message", "content": []}),
        named("response.output_text.delta", delta="Hello", obfuscation="abc"),
        named("response.output_text.delta", delta='a "quoted" wörd 🚋'),
        named("response.output_text.delta", delta=""),
        named("response.function_call_arguments.delta", delta='{"a"'),
        named("response.output_text.done", text="Hello"),
        COMPLETED,
    ]
)
WHOLE_RESPONSE = ResponsesStreamTee()
WHOLE_RESPONSE.feed(RESPONSE)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(st.integers(0, len(RESPONSE)), max_size=40), st.just(event_ends(RESPONSE))))
def test_any_split_of_a_response_gives_the_same_bytes_and_usage(cuts: list[int]):
    tee = ResponsesStreamTee()
    out = play(tee, RESPONSE, cuts)

    assert out + tee.rest() == RESPONSE
    assert tee.rest() == COMPLETED
    assert (tee.terminal, tee.has_content) == ("stop", True)
    assert tee.seen.counts() == COUNTS
    assert (tee.seen.model, tee.seen.stop_reason, tee.seen.service_tier) == ("gpt-5", "stop", "standard")
    assert tee.delivered_tokens == WHOLE_RESPONSE.delivered_tokens > 0


@pytest.mark.parametrize(
    ("ending", "terminal", "error_type", "stop_reason"),
    [
        (named("response.incomplete", response={**ENDED, "status": "incomplete",
               "incomplete_details": {"reason": "max_output_tokens"}}), "stop", None, "max_output_tokens"),
        (named("response.incomplete", response={**ENDED, "status": "incomplete",
               "incomplete_details": {"reason": "content_filter"}}), "stop", None, "refusal"),
        (named("response.failed", response={"model": "gpt-5", "status": "failed", "usage": None,
               "error": {"code": "server_error", "message": "x"}}), "error", "server_error", None),
        (named("error", code="rate_limit_exceeded", message="x"), "error", "rate_limit_exceeded", None),
    ],
)  # fmt: skip
def test_each_ending_of_a_response_is_held_and_named(ending: bytes, terminal: str, error_type, stop_reason):
    tee = ResponsesStreamTee()
    assert tee.feed(ending + b"data: [DONE]\n\n") == b""
    assert (tee.terminal, tee.error_type, tee.seen.stop_reason) == (terminal, error_type, stop_reason)
    assert tee.rest() == ending + b"data: [DONE]\n\n"


def test_a_whole_response_and_an_embedding_are_read():
    tee = ResponsesMessageTee(orjson.dumps(ENDED))
    assert (tee.is_message, tee.has_content) == (True, True)
    assert tee.seen.counts() == COUNTS
    assert not ResponsesMessageTee(orjson.dumps({**ENDED, "status": "failed"})).is_message
    usage = {"prompt_tokens": 8, "total_tokens": 9}
    embedded = EmbeddingsTee(orjson.dumps({"object": "list", "model": "e", "data": [{}], "usage": usage}))
    assert embedded.seen.counts() == TokenCounts(input_tokens=8)
