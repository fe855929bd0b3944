"""The OpenAI surfaces' bodies: what cannot be metered is refused, usage is asked for, all else stays as it was."""

import orjson
import pytest

from gateway.errors import ModelApiError
from gateway.surfaces.openai.chat import ChatSurface
from gateway.surfaces.openai.embeddings import EmbeddingsSurface
from gateway.surfaces.openai.responses import ResponsesSurface

CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]}
RESPONSE = {"model": "gpt", "input": "Hi"}


@pytest.fixture(scope="module")
def chat(estimator) -> ChatSurface:
    return ChatSurface(estimator)


@pytest.fixture(scope="module")
def responses(estimator) -> ResponsesSurface:
    return ResponsesSurface(estimator)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"models": ["dearer"]}, "models"),
        ({"provider": {"order": ["dear"]}}, "provider"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": 1}, "service_tier"),
        ({"audio": {"voice": "a"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tools": [{"type": "browser_search"}]}, "browser_search"),
        ({"tools": ["function"]}, "without a type"),
        ({"tools": {}}, "tools"),
        ({"n": 0}, "n: Input should be between"),
        ({"n": 129}, "n: Input should be between"),
        ({"max_tokens": "1"}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "include_usage"),
        ({"model": None}, "model"),
    ],
)
def test_what_would_be_free_or_dearer_in_a_chat_is_refused(chat, asking, changes: dict[str, object], message: str):
    with pytest.raises(ModelApiError, match=message) as refused:
        chat.parse(asking(CHAT, **changes))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "web_search"),
        ({"tools": [{"type": "function"}, {"type": "file_search"}]}, "file_search"),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "code_interpreter"),
        ({"tools": [{"type": "image_generation"}]}, "image_generation"),
        ({"tools": [{"type": "mcp", "server_url": "u"}]}, "mcp"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
    ],
)
def test_what_would_be_free_or_dearer_in_a_response_is_refused(responses, asking, changes, message: str):
    with pytest.raises(ModelApiError, match=message) as refused:
        responses.parse(asking(RESPONSE, **changes))
    assert refused.value.status == 400


def test_what_is_harmless_passes(chat, responses, asking):
    kept = {"service_tier": "flex", "models": None, "plugins": [], "unknown": {"x": 1}, "modalities": ["text"]}
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "g"}}]
    request = asking(CHAT, **kept, tools=tools, max_tokens=None)
    ask = chat.parse(request)
    assert ask.max_tokens is None
    assert chat.splice(ask) is request.body
    request = asking(RESPONSE, background=False, store=True, tools=[{"type": "function", "name": "f"}])
    assert responses.splice(responses.parse(request)) is request.body


def test_the_larger_of_two_limits_counts(chat, asking):
    assert chat.parse(asking(CHAT, max_tokens=5, max_completion_tokens=9)).max_tokens == 9
    assert chat.parse(asking(CHAT, max_tokens=11, max_completion_tokens=9)).max_tokens == 11
    assert chat.parse(asking(CHAT, max_tokens=11)).max_tokens == 11


STREAMED = [
    (b'{"model":"m","stream":true}', b'{"stream_options":{"include_usage":true},"model":"m","stream":true}'),
    (
        b'{"model":"m","stream" : true, "stream_options" : {"include_obfuscation":false} }',
        b'{"model":"m","stream" : true, "stream_options" : {"include_usage":true,"include_obfuscation":false} }',
    ),
    (
        b'{"stream":true,"model":"m","stream_options":{ "include_usage": false }}',
        b'{"stream":true,"model":"m","stream_options":{ "include_usage": true }}',
    ),
    (
        b'{"stream":true,"model":"m","stream_options":null}',
        b'{"stream":true,"model":"m","stream_options":{"include_usage":true}}',
    ),
    (
        b'{"stream":true,"model":"m","stream_options":{}}',
        b'{"stream":true,"model":"m","stream_options":{"include_usage":true}}',
    ),
]


@pytest.mark.parametrize(("raw", "expected"), STREAMED)
def test_usage_is_asked_for_where_the_client_did_not(chat, asking, raw: bytes, expected: bytes):
    ask = chat.parse(asking(raw))
    assert not ask.wants_usage
    assert chat.splice(ask) == expected


def test_usage_that_the_client_asked_for_is_not_asked_for_again(chat, asking):
    request = asking(CHAT, stream=True, stream_options={"include_usage": True})
    ask = chat.parse(request)
    assert ask.wants_usage
    assert chat.splice(ask) is request.body


def test_a_limit_is_written_where_the_body_has_one(chat, responses, asking):
    def limits(raw: bytes) -> dict[str, object]:
        return {name: value for name, value in orjson.loads(raw).items() if "max" in name}

    assert limits(chat.splice(chat.parse(asking(CHAT, max_tokens=9)), max_tokens=5)) == {"max_tokens": 5}
    both = asking(CHAT, max_tokens=9, max_completion_tokens=8)
    assert limits(chat.splice(chat.parse(both), max_tokens=5)) == {"max_tokens": 5, "max_completion_tokens": 5}
    assert limits(chat.splice(chat.parse(asking(CHAT)), max_tokens=5)) == {"max_completion_tokens": 5}
    assert limits(chat.splice(chat.parse(asking(CHAT, max_tokens=None)), max_tokens=5)) == {
        "max_completion_tokens": 5,
        "max_tokens": None,
    }
    assert limits(responses.splice(responses.parse(asking(RESPONSE)), max_tokens=5)) == {"max_output_tokens": 5}


def test_an_embedding_needs_an_input(estimator, asking):
    surface = EmbeddingsSurface(estimator)
    with pytest.raises(ModelApiError, match="input: Field required"):
        surface.parse(asking(model="m"))
    ask = surface.parse(asking(model="m", input=["a"]))
    assert (ask.streamed, surface.splice(ask, model="n")) == (False, b'{"model":"n","input":["a"]}')


def test_errors_are_in_openais_envelope(chat, responses):
    error = ModelApiError(402, "No credits", extra={"required": "1"})
    assert orjson.loads(chat.error_body(error, "req_1")) == {
        "error": {
            "message": "No credits",
            "type": "insufficient_quota",
            "param": None,
            "code": "insufficient_quota",
            "required": "1",
        },
        "request_id": "req_1",
    }
    assert chat.error_event(error, "req_1") == b"data: " + chat.error_body(error, "req_1") + b"\n\n"
    event = responses.error_event(error, "req_1")
    assert event.startswith(b"event: error\ndata: ")
    payload = orjson.loads(event.split(b"data: ")[1])
    assert (payload["type"], payload["message"], payload["code"]) == ("error", "No credits", "insufficient_quota")


@pytest.mark.parametrize(
    ("error", "kind", "code", "param"),
    [
        (ModelApiError(401, "Bad key"), "invalid_request_error", "invalid_api_key", None),
        (ModelApiError(404, "model: x"), "invalid_request_error", "model_not_found", "model"),
        (ModelApiError(400, "max_tokens: too many"), "invalid_request_error", None, "max_tokens"),
        (ModelApiError(429, "slow"), "requests", "rate_limit_exceeded", None),
        (ModelApiError(503, "later"), "server_error", None, None),
        (ModelApiError(529, "busy"), "server_error", "server_overloaded", None),
    ],
)
def test_each_kind_of_error_has_openais_words(chat, error, kind: str, code: str | None, param: str | None):
    told = orjson.loads(chat.error_body(error, "req_1"))["error"]
    assert (told["type"], told["code"], told["param"]) == (kind, code, param)
