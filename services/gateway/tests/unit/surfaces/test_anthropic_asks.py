"""A `/v1/messages` body: strict about what decides the price, tolerant of all else, written only where it must be."""

import orjson
import pytest

from gateway.errors import ModelApiError
from gateway.surfaces.anthropic.ask import parse_ask
from gateway.surfaces.anthropic.messages import MessagesSurface

BODY = {"model": "claude-haiku-5-5", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def surface(estimator) -> MessagesSurface:
    return MessagesSurface(estimator)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": None}, "model: Field required"),
        ({"model": 5}, "model: Input should be a string"),
        ({"model": ""}, "model: Input should be a string"),
        ({"model": "m" * 257}, "model: Input should be a string"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 1.0}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": "10"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": -1}, "max_tokens: Input should be between"),
        ({"max_tokens": 10**12}, "max_tokens: Input should be between"),
        ({"stream": "yes"}, "stream: Input should be a valid boolean"),
        ({"stream": 1}, "stream: Input should be a valid boolean"),
        ({"speed": 1}, "speed: Input should be a valid string"),
        ({"inference_geo": ["us"]}, "inference_geo: Input should be a valid string"),
    ],
)
def test_what_decides_the_price_is_checked(changes: dict[str, object], field: str):
    with pytest.raises(ModelApiError, match=field) as refused:
        parse_ask(orjson.dumps({**BODY, **changes}))
    assert (refused.value.status, refused.value.headers["x-should-retry"]) == (400, "false")


@pytest.mark.parametrize(
    "changes",
    [
        {"max_tokens": 0},
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        {"messages": "not a list"},
        {"messages": [{"role": "user", "content": [{"type": "novelty"}]}]},
        {"unknown": {"to": ["us"]}, "temperature": None, "stream": None},
        {"fallbacks": "auto", "context_management": {"edits": []}, "citations": {"enabled": True}},
    ],
)
def test_all_else_passes_byte_for_byte(surface, asking, changes: dict[str, object]):
    request = asking({**BODY, **changes})
    ask = surface.parse(request)
    assert surface.splice(ask) is request.body


def test_an_alias_is_written_in_place(surface, asking):
    raw = b'{ "messages":[{"role":"user","content":"the \\"model\\": x"}],\n "model" : "fast", "max_tokens":9 }'
    ask = surface.parse(asking(raw))
    out = surface.splice(ask, model="claude-haiku-5-5", max_tokens=5, service_tier="standard_only")
    assert out == (
        b'{"service_tier":"standard_only", "messages":[{"role":"user","content":"the \\"model\\": x"}],\n'
        b' "model" : "claude-haiku-5-5", "max_tokens":5 }'
    )


def test_an_answer_passes_as_it_came(surface, asking):
    ask = surface.parse(asking(BODY))
    assert surface.closing(ask, ending=None, price_nano=1, balance_nano=None) == b""
    assert surface.whole(ask, b"{}", ending=None, price_nano=1, balance_nano=None) == b"{}"


def test_errors_are_in_the_vendors_envelope(surface):
    error = ModelApiError(402, "No credits", extra={"required": "1"})
    body = orjson.loads(surface.error_body(error, "req_1"))
    assert body == {
        "type": "error",
        "error": {"type": "billing_error", "message": "No credits", "required": "1"},
        "request_id": "req_1",
    }
    assert surface.error_event(error, "req_1") == b"event: error\ndata: " + orjson.dumps(body) + b"\n\n"
