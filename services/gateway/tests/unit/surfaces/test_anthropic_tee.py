"""The tee: however the bytes are split, the same bytes come out and the same usage is seen."""

import asyncio
from itertools import pairwise

import httpx2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.surfaces.anthropic.tee import AnthropicMessageTee, AnthropicStreamTee
from gateway.surfaces.frames import FrameCutter


def event(name: str, payload: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **payload}))


def delta(text: str, kind: str = "text_delta") -> bytes:
    return event("content_block_delta", {"index": 0, "delta": {"type": kind, "text": text}})


START = event(
    "message_start",
    {
        "message": {
            "model": "claude-haiku-5-5",
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "cache_read_input_tokens": 7,
                "output_tokens": 1,
                "service_tier": "standard",
                "inference_geo": "us",
                "speed": "fast",
            },
        }
    },
)
TWO_LINES = (
    b'id: 7\nevent: first\nevent: message_delta\ndata: {"delta":{"stop_reason":null},\n'
    b'data: "usage":{"output_tokens":4,"input_tokens":null}}\nretry: 5\n\n'
)
STREAM = b"".join(
    [
        b"\xef\xbb\xbf",
        START,
        b": a comment\n\n",
        event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        b'event: ping\ndata: {"type": "ping"}\n\n',
        *(delta(f"wörd {n} \\n\\n 🚋") for n in range(6)),
        delta("event: message_stop\n\ndata: {}"),
        delta("", "signature_delta"),
        b'event: novelty\r\ndata: {"a":1}\r\n\r\n',
        TWO_LINES,
        event(
            "message_delta",
            {
                "delta": {"stop_reason": "end_turn"},
                "usage": {
                    "output_tokens": 9,
                    "cache_creation_input_tokens": 30,
                    "cache_read_input_tokens": 0,
                    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
                },
            },
        ),
        event("message_stop", {}),
    ]
)
STOP = event("message_stop", {})
CRLF_STREAM = STREAM.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def play(stream: bytes, cuts: list[int]) -> tuple[AnthropicStreamTee, bytes]:
    tee, out = AnthropicStreamTee(), b""
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for begin, end in pairwise(places):
        out += tee.feed(stream[begin:end])
    return tee, out


def event_ends(stream: bytes) -> list[int]:
    """The cuts of a network that gives each event a read of its own."""
    ends, at = [], 0
    while (at := stream.find(b"\n\n", at)) >= 0:
        at += 2
        ends.append(at)
    return ends


def check(stream: bytes, tee: AnthropicStreamTee, out: bytes) -> None:
    assert out + tee.rest() == stream
    assert tee.terminal == "stop"
    counts = tee.seen.counts()
    assert counts.input_tokens == 10
    assert (counts.cache_write_5m_tokens, counts.cache_write_1h_tokens) == (10, 20)
    assert counts.cache_read_tokens == 0
    assert counts.output_tokens == tee.seen.output_tokens == 9
    assert (counts.web_search_requests, counts.web_fetch_requests) == (2, 1)
    assert (tee.seen.model, tee.seen.stop_reason) == ("claude-haiku-5-5", "end_turn")
    assert (tee.seen.service_tier, tee.seen.inference_geo, tee.seen.speed) == ("standard", "us", "fast")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_any_split_gives_the_same_bytes_and_the_same_usage(cuts: list[int]):
    tee, out = play(STREAM, cuts)

    check(STREAM, tee, out)
    assert tee.rest() == STOP
    assert tee.delivered_tokens == play(STREAM, [])[0].delivered_tokens


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, len(CRLF_STREAM)), max_size=40))
def test_other_line_ends_are_read_the_same(cuts: list[int]):
    tee, out = play(CRLF_STREAM, cuts)
    check(CRLF_STREAM, tee, out)


def test_a_read_per_event_and_a_read_per_byte_are_splits_like_any_other():
    for cuts in (event_ends(STREAM), list(range(len(STREAM)))):
        tee, out = play(STREAM, cuts)
        check(STREAM, tee, out)
        assert tee.delivered_tokens == play(STREAM, [])[0].delivered_tokens


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=20))
def test_garbage_passes_unchanged(stream: bytes, cuts: list[int]):
    tee, out = play(stream, cuts)
    assert out + tee.rest() == stream


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_an_event_that_is_too_large_to_hold_passes_in_parts(cuts: list[int]):
    cutter = FrameCutter(most_held_bytes=64)
    out = b""
    for begin, end in pairwise([0, *sorted(cuts), len(STREAM)]):
        for piece in cutter.feed(STREAM[begin:end]):
            out += piece.data
        assert len(cutter.pending) <= 64
    assert out + cutter.pending == STREAM


def test_after_a_part_of_a_large_event_nothing_of_ours_can_follow():
    tee = AnthropicStreamTee()
    large = delta("x" * (5 << 20))
    out = tee.feed(START) + tee.feed(large[:-10])
    assert not tee.between_events
    assert tee.has_content
    out += tee.feed(large[-10:] + delta("y"))
    assert tee.between_events
    assert out == START + large + delta("y")
    assert tee.delivered_tokens > 1_000_000


def test_no_part_of_an_event_goes_out():
    tee = AnthropicStreamTee()
    assert tee.feed(START[:-1]) == b""
    assert tee.feed(b"\n" + STOP[:5]) == START
    assert tee.between_events


def test_the_stop_and_all_behind_it_is_held():
    tee = AnthropicStreamTee()
    assert tee.feed(START + STOP + b": later\n\n") == START
    assert tee.feed(delta("late")) == b""
    assert tee.rest() == STOP + b": later\n\n" + delta("late")
    assert tee.held_bytes == len(tee.rest())
    assert not tee.has_content


def test_an_error_in_mid_stream_is_held_and_named():
    tee = AnthropicStreamTee()
    error = event("error", {"error": {"type": "overloaded_error", "message": "busy"}})
    assert tee.feed(START + error) == START
    assert (tee.terminal, tee.error_type, tee.rest()) == ("error", "overloaded_error", error)


def test_an_error_without_a_shape_is_an_error():
    tee = AnthropicStreamTee()
    tee.feed(b"event: error\ndata: gone\n\n")
    assert (tee.terminal, tee.error_type) == ("error", "api_error")


def test_events_without_a_name_are_known_by_their_type():
    tee = AnthropicStreamTee()
    tee.feed(b'data: {"type":"message_stop"}\n\n')
    assert tee.terminal == "stop"


def test_the_last_name_of_an_event_is_its_name():
    tee = AnthropicStreamTee()
    tee.feed(b"event: ping\nevent: message_stop\ndata: {}\n\n")
    assert tee.terminal == "stop"


def test_starting_a_block_is_no_content_but_a_tools_result_is():
    tee = AnthropicStreamTee()
    tee.feed(START + event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}))
    assert not tee.has_content
    tee.feed(event("content_block_start", {"index": 1, "content_block": {"type": "web_search_tool_result"}}))
    assert tee.has_content


def test_a_refusal_is_seen():
    tee = AnthropicStreamTee()
    tee.feed(START + event("message_delta", {"delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": 0}}))
    assert (tee.seen.stop_reason, tee.has_content) == ("refusal", False)


def test_zero_is_not_missing():
    tee = AnthropicStreamTee()
    tee.feed(START + event("message_delta", {"delta": {}, "usage": {"input_tokens": 0, "output_tokens": 0}}))
    assert tee.seen.counts().input_tokens == 0


def test_a_null_leaves_the_earlier_word():
    tee = AnthropicStreamTee()
    tee.feed(START + event("message_delta", {"delta": {}, "usage": {"input_tokens": None, "output_tokens": 5}}))
    assert tee.seen.counts().input_tokens == 10


def test_a_null_inside_of_a_tools_count_leaves_the_earlier_word():
    tee = AnthropicStreamTee()
    for uses in ({"web_search_requests": 3, "code_execution_requests": 1}, {"web_search_requests": None}):
        tee.feed(event("message_delta", {"delta": {}, "usage": {"server_tool_use": uses}}))
    counts = tee.seen.counts()
    assert (counts.web_search_requests, counts.code_execution_requests) == (3, 1)


def test_counts_that_are_no_counts_are_not_taken():
    usage = {"input_tokens": -1, "output_tokens": True, "cache_read_input_tokens": "9"}
    tee = AnthropicMessageTee(orjson.dumps({"type": "message", "model": "m", "content": [], "usage": usage}))
    counts = tee.seen.counts()
    assert counts.input_tokens == counts.output_tokens == counts.cache_read_tokens == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"type":"error"}', b'{"type":"message"}'])
def test_what_is_not_a_message_with_usage_is_not_one(body: bytes):
    assert AnthropicMessageTee(body).is_message is False


def test_a_fallback_serves_and_an_advisor_is_extra():
    usage = {
        "input_tokens": 5,
        "output_tokens": 6,
        "iterations": [
            {"type": "compaction", "input_tokens": 500, "output_tokens": 60},
            {"type": "message", "model": "a", "input_tokens": 5, "output_tokens": 0},
            {"type": "advisor_message", "model": "c", "input_tokens": 800, "output_tokens": 100},
            {"type": "fallback_message", "model": "b", "input_tokens": 5, "output_tokens": 6},
        ],
    }
    seen = AnthropicMessageTee(orjson.dumps({"type": "message", "model": "a", "content": [], "usage": usage})).seen
    assert seen.serving_model() == "b"
    assert [(one.model, one.counts.input_tokens) for one in seen.iterations(serving_model="b")] == [
        ("b", 500),
        ("c", 800),
    ]


SCENARIOS = ["fast+iterations+cache", "fast+thinking+tools", "fast+multi-delta+pings+unknown", "unicode;chunk=1"]


@pytest.mark.parametrize("text", SCENARIOS)
async def test_streamed_usage_is_the_usage_of_the_same_call_not_streamed(provider, text: str):
    body = {"model": "claude-haiku-5-5", "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"x-api-key": provider.api_key, "anthropic-version": "2023-06-01", "x-sandbox-scenario": text}
    async with httpx2.AsyncClient(base_url=provider.base_url, headers=headers) as http:
        streamed, whole = await asyncio.gather(
            http.post("/v1/messages", json={**body, "stream": True}), http.post("/v1/messages", json=body)
        )
    tee = AnthropicStreamTee()
    tee.feed(streamed.content)
    message = AnthropicMessageTee(whole.content)

    assert tee.seen.counts() == message.seen.counts()
    assert tee.seen.iterations(serving_model="x") == message.seen.iterations(serving_model="x")
    assert tee.seen.serving_model() == message.seen.serving_model()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=2, max_size=20))
def test_deltas_that_come_in_one_read_count_as_those_that_come_one_by_one(texts: list[str]):
    stream = START + b"".join(map(delta, texts)) + STOP
    tee, out = play(stream, [])
    one_by_one, same = play(stream, event_ends(stream))

    assert out == same == stream.removesuffix(STOP)
    assert tee.delivered_tokens == one_by_one.delivered_tokens > 0
