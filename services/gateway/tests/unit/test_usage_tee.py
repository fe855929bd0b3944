"""The tee: however the bytes are split, the same bytes come out and the same usage is seen."""

import asyncio
from itertools import pairwise

import httpx2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dataplane.frames import FrameCutter
from gateway.dataplane.tee import MessageTee, StreamTee


def event(name: str, payload: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **payload}))


def delta(text: str) -> bytes:
    return event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}})


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
            },
        }
    },
)
STREAM = b"".join(
    [
        START,
        b": a comment\n\n",
        event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        b'event: ping\ndata: {"type": "ping"}\n\n',
        *(delta(f"wörd {n} \\n\\n 🚋") for n in range(6)),
        b'event: novelty\r\ndata: {"a":1}\r\n\r\n',
        event("message_delta", {"delta": {"stop_reason": None}, "usage": {"output_tokens": 4, "input_tokens": None}}),
        event(
            "message_delta",
            {
                "delta": {"stop_reason": "end_turn"},
                "usage": {
                    "output_tokens": 9,
                    "cache_creation_input_tokens": 30,
                    "cache_read_input_tokens": 0,
                    "server_tool_use": {"web_search_requests": 2},
                },
            },
        ),
        event("message_stop", {}),
    ]
)
STOP = event("message_stop", {})


def play(stream: bytes, cuts: list[int]) -> tuple[StreamTee, bytes]:
    tee, out = StreamTee(), b""
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for begin, end in pairwise(places):
        out += tee.feed(stream[begin:end])
    return tee, out


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_any_split_gives_the_same_bytes_and_the_same_usage(cuts: list[int]):
    tee, out = play(STREAM, cuts)

    assert out + tee.rest() == STREAM
    assert tee.rest() == STOP
    assert tee.terminal == "stop"
    counts = tee.seen.counts()
    assert counts.input_tokens == 10
    assert (counts.cache_write_5m_tokens, counts.cache_write_1h_tokens) == (10, 20)
    assert counts.cache_read_tokens == 0
    assert counts.output_tokens == 9
    assert counts.web_search_requests == 2
    assert (tee.seen.model, tee.seen.stop_reason) == ("claude-haiku-5-5", "end_turn")
    assert tee.delivered_tokens == play(STREAM, [])[0].delivered_tokens


def test_one_byte_at_a_time_is_a_split_like_any_other():
    tee, out = play(STREAM, list(range(len(STREAM))))
    assert out + tee.rest() == STREAM


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


def test_no_part_of_an_event_goes_out():
    tee = StreamTee()
    assert tee.feed(START[:-1]) == b""
    assert tee.feed(b"\n" + STOP[:5]) == START


def test_the_stop_and_all_behind_it_is_held():
    tee = StreamTee()
    assert tee.feed(START + STOP + b": later\n\n") == START
    assert tee.rest() == STOP + b": later\n\n"


def test_an_error_in_mid_stream_is_held_and_named():
    tee = StreamTee()
    error = event("error", {"error": {"type": "overloaded_error", "message": "busy"}})
    assert tee.feed(START + error) == START
    assert (tee.terminal, tee.error_type, tee.rest()) == ("error", "overloaded_error", error)


def test_events_without_a_name_are_known_by_their_type():
    tee = StreamTee()
    tee.feed(b'data: {"type":"message_stop"}\n\n')
    assert tee.terminal == "stop"


def test_zero_is_not_missing():
    tee = StreamTee()
    tee.feed(START + event("message_delta", {"delta": {}, "usage": {"input_tokens": 0, "output_tokens": 0}}))
    assert tee.seen.counts().input_tokens == 0


def test_a_null_leaves_the_earlier_word():
    tee = StreamTee()
    tee.feed(START + event("message_delta", {"delta": {}, "usage": {"input_tokens": None, "output_tokens": 5}}))
    assert tee.seen.counts().input_tokens == 10


def test_counts_that_are_no_counts_are_not_taken():
    usage = {"input_tokens": -1, "output_tokens": True, "cache_read_input_tokens": "9"}
    tee = MessageTee(orjson.dumps({"type": "message", "model": "m", "content": [], "usage": usage}))
    counts = tee.seen.counts()
    assert counts.input_tokens == counts.output_tokens == counts.cache_read_tokens == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"type":"error"}', b'{"type":"message"}'])
def test_what_is_not_a_message_with_usage_is_not_one(body: bytes):
    assert MessageTee(body).is_message is False


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
    seen = MessageTee(orjson.dumps({"type": "message", "model": "a", "content": [], "usage": usage})).seen
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
    tee = StreamTee()
    tee.feed(streamed.content)
    message = MessageTee(whole.content)

    assert tee.seen.counts() == message.seen.counts()
    assert tee.seen.iterations(serving_model="x") == message.seen.iterations(serving_model="x")
    assert tee.seen.serving_model() == message.seen.serving_model()
