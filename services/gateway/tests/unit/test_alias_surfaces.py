"""The older clients' bodies become Messages bodies, and the answers become theirs."""

import base64
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from gateway.errors import ModelApiError
from gateway.surfaces.aliases import ClaudeStreamSurface, GenerateSurface, InvokeSurface, TryOutSurface
from gateway.surfaces.estimates import Estimator
from gateway.usage.ending import Ending
from rating import TokenCounts

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(40)).decode()
HELLO = {"role": "user", "content": "hello"}
ENDING = Ending(
    "completed",
    "provider",
    model_served="claude-haiku-5-5",
    counts=TokenCounts(input_tokens=10, cache_read_tokens=3, output_tokens=5),
)
MESSAGE = orjson.dumps({
    "id": "msg_1",
    "type": "message",
    "model": "claude-haiku-5-5",
    "content": [{"type": "thinking", "thinking": "…"}, {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "output_tokens": 5},
})  # fmt: skip


@dataclass
class Asked:
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        return None


def asked(surface: Any, body: Any) -> dict[str, Any]:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    ask = surface(Estimator()).parse(Asked(raw))
    built: dict[str, Any] = orjson.loads(ask.raw)
    assert built == ask.body
    return built


def test_messages_are_streamed_with_the_defaults_filled_in() -> None:
    assert asked(ClaudeStreamSurface, {"messages": [HELLO]}) == {
        "messages": [HELLO],
        "model": "fast",
        "max_tokens": 1024,
        "stream": True,
    }


def test_what_the_client_names_is_kept_but_the_stream() -> None:
    body = {"messages": [HELLO], "max_tokens": 7, "model": "best", "temperature": 0.25, "stream": False}

    assert asked(ClaudeStreamSurface, body) == {**body, "stream": True}


@pytest.mark.parametrize(
    ("image", "media_type", "data"),
    [(PNG, "image/png", PNG), (JPEG, "image/jpeg", JPEG), (f"data:image/png;base64,{JPEG}", "image/jpeg", JPEG)],
    ids=["png", "jpeg", "data-url-that-lies"],
)
def test_an_image_goes_in_front_of_the_last_text_of_the_user(image: str, media_type: str, data: str) -> None:
    reply = {"role": "assistant", "content": "hi"}
    built = asked(ClaudeStreamSurface, {"messages": [HELLO, reply, HELLO, reply], "image": image})

    assert built["messages"][2]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}},
        {"type": "text", "text": "hello"},
    ]
    assert [built["messages"][place] for place in (0, 1, 3)] == [HELLO, reply, reply]
    assert "image" not in built


@pytest.mark.parametrize(
    ("surface", "body", "named"),
    [
        (ClaudeStreamSurface, {}, "messages"),
        (ClaudeStreamSurface, {"messages": [HELLO], "image": "???"}, "image"),
        (ClaudeStreamSurface, {"messages": [HELLO], "image": base64.b64encode(b"nothing of that").decode()}, "image"),
        (ClaudeStreamSurface, {"messages": [HELLO], "image": 7}, "image"),
        (ClaudeStreamSurface, {"messages": [], "image": PNG}, "image"),
        (ClaudeStreamSurface, {"messages": [{"role": "user", "content": 3}], "image": PNG}, "messages.0.content"),
        (ClaudeStreamSurface, {"messages": [HELLO], "max_tokens": "7"}, "max_tokens"),
        (ClaudeStreamSurface, b'{"messages": [], "messages": []}', "messages"),
        (ClaudeStreamSurface, b"[]", "object"),
        (ClaudeStreamSurface, b"{", "JSON"),
        (InvokeSurface, {}, "messages"),
        (InvokeSurface, {"prompt": "", "max_tokens": 1}, "prompt"),
        (InvokeSurface, {"prompt": "a", "messages": [HELLO]}, "prompt"),
        (GenerateSurface, {}, "prompt"),
        (GenerateSurface, {"prompt": "a", "tools": []}, "tools"),
        (GenerateSurface, {"prompt": ["a"]}, "prompt"),
    ],
)
def test_a_body_that_cannot_be_built_is_refused_by_field(surface: Any, body: Any, named: str) -> None:
    with pytest.raises(ModelApiError, match=named.replace(".", r"\.")) as refused:
        asked(surface, body)

    assert refused.value.status == 400


def test_a_prompt_becomes_one_message() -> None:
    assert asked(GenerateSurface, {"prompt": "hello", "max_tokens": 9}) == {
        "messages": [HELLO],
        "model": "fast",
        "max_tokens": 9,
        "stream": False,
    }


def test_trying_out_needs_no_body_and_stays_small() -> None:
    built = asked(TryOutSurface, b"")

    assert built["max_tokens"] == 16
    assert built["messages"][0]["role"] == "user"


def test_a_stream_ends_with_tokens_charge_and_balance() -> None:
    surface = ClaudeStreamSurface(Estimator())
    ask = surface.parse(Asked(orjson.dumps({"messages": [HELLO]})))

    closing = surface.closing(ask, ending=ENDING, price_nano=1_500_000_000, balance_nano=-20)

    event, data, *rest = closing.split(b"\n")
    assert (event, rest) == (b"event: usage", [b"", b""])
    assert orjson.loads(data.removeprefix(b"data: ")) == {
        "type": "usage",
        "input_tokens": 10,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 3,
        "output_tokens": 5,
        "total_tokens": 18,
        "charge": "1.5",
        "balance": "-0.00000002",
    }


@pytest.mark.parametrize(("surface", "text"), [(InvokeSurface, "content"), (GenerateSurface, "text")])
def test_an_answer_is_told_in_the_clients_words(surface: Any, text: str) -> None:
    made = surface(Estimator())
    ask = made.parse(Asked(orjson.dumps({"prompt": "hello"})))

    answer = orjson.loads(made.whole(ask, MESSAGE, ending=ENDING, price_nano=10, balance_nano=None))

    assert (answer["id"], answer["model"], answer[text], answer["stop_reason"]) == (
        "msg_1",
        "claude-haiku-5-5",
        "Hello",
        "end_turn",
    )
    assert answer["usage"]["total_tokens"] == 18
    assert (answer["charge"], answer["balance"]) == ("0.00000001", None)


def test_what_is_no_message_passes_as_it_is() -> None:
    surface = InvokeSurface(Estimator())
    ask = surface.parse(Asked(b'{"prompt":"a"}'))

    assert surface.whole(ask, b"not json", ending=ENDING, price_nano=0, balance_nano=0) == b"not json"
    assert surface.whole(ask, b'{"type":"error"}', ending=ENDING, price_nano=0, balance_nano=0) == b'{"type":"error"}'
