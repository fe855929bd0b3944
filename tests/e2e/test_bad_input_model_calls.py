"""What is wrong with a model call is said in the provider's envelope, by field, before it costs anything."""

import json
from typing import Any

import httpx2
import pytest
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import MODEL, QUESTION, signed_up

pytestmark = pytest.mark.stack

CALL: dict[str, Any] = {"model": MODEL, "max_tokens": 16, "messages": QUESTION}
DEEP = b"[" * 1020 + b"]" * 1020
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("a model that is no text", {"model": 5}, "model"),
    ("an empty model", {"model": ""}, "model"),
    ("an endless model", {"model": "x" * 300}, "model"),
    ("no model", {"model": None}, "model"),
    ("no max_tokens", {"max_tokens": None}, "max_tokens"),
    ("text for max_tokens", {"max_tokens": "16"}, "max_tokens"),
    ("a negative max_tokens", {"max_tokens": -1}, "max_tokens"),
    ("a broken max_tokens", {"max_tokens": 1.5}, "max_tokens"),
    ("true for max_tokens", {"max_tokens": True}, "max_tokens"),
    ("a huge max_tokens", {"max_tokens": 10**17}, "max_tokens"),
    ("text for stream", {"stream": "yes"}, "stream"),
    ("a number for speed", {"speed": 5}, "speed"),
    ("an unknown speed", {"speed": "warp"}, "speed"),
    ("an unknown place", {"inference_geo": "mars"}, "inference_geo"),
    ("text for messages", {"messages": "Hello"}, "messages"),
    ("numbers for messages", {"messages": [1]}, "messages"),
    ("numbers for tools", {"tools": [1]}, "tools"),
    ("text for a tool's uses", {"tools": [{"type": "web_search_20250305", "max_uses": "x"}]}, "tools"),
    ("a list for a tool's type", {"tools": [{"type": [], "source": {"type": {}}}]}, "tools"),
]
BROKEN = [
    ("nested deeply", b'{"model":"%b","max_tokens":1,"messages":%b}' % (MODEL.encode(), DEEP)),
    ("nested deeply, with escapes", b'{"model":"%b","max_tokens":1,"\\u0041":%b}' % (MODEL.encode(), DEEP)),
    (
        "nested deeply, where it is read",
        b'{"model":"%b","max_tokens":1,"context_management":%b}' % (MODEL.encode(), DEEP),
    ),
    ("a field given twice", b'{"model":"%b","max_tokens":1,"max_tokens":2,"messages":[]}' % MODEL.encode()),
    ("no number", b'{"model":"%b","max_tokens":NaN}' % MODEL.encode()),
    ("an endless number", b'{"model":"%b","max_tokens":%b}' % (MODEL.encode(), b"9" * 5000)),
    ("half a pair", b'{"model":"\\ud800","max_tokens":1}'),
]


@pytest.fixture(scope="module")
async def post(product: Product):
    customer = await signed_up(product)

    async def post(body: bytes, path: str = "/v1/messages", **headers: str) -> httpx2.Response:
        sent = {"x-api-key": customer.api_key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
        return await customer.http.post(path, content=body, headers={**sent, **headers})

    yield post
    assert await customer.balance() == 5


def refused(answer: httpx2.Response, *, status: int = 400) -> str:
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert body["type"] == "error"
    assert body["error"]["type"]
    assert body["request_id"] == answer.headers["request-id"]
    assert "Traceback" not in answer.text
    return str(body["error"]["message"])


@pytest.mark.parametrize(
    ("changes", "field"), [(changes, field) for _, changes, field in WRONG], ids=[n for n, _, _ in WRONG]
)
async def test_a_wrong_field_is_named(post, changes: dict[str, Any], field: str) -> None:
    assert refused(await post(json.dumps({**CALL, **changes}).encode())).startswith(field)


@pytest.mark.parametrize("body", [body for _, body in BROKEN], ids=[name for name, _ in BROKEN])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_a_body_that_can_be_read_in_two_ways_or_in_none_is_refused(post, path: str, body: bytes) -> None:
    refused(await post(body, path))


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_a_body_over_32_mb_is_413(post, path: str) -> None:
    body = json.dumps({**CALL, "system": "x" * (32 << 20)}).encode()
    message = refused(await post(body, path), status=413)
    assert str(32 << 20) in message


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_a_compressed_body_is_refused(post, path: str) -> None:
    assert "content-encoding" in refused(await post(b"{}", path, **{"content-encoding": "gzip"}))


async def test_a_version_that_the_provider_does_not_know_is_its_to_refuse(post) -> None:
    assert "anthropic-version" in refused(await post(json.dumps(CALL).encode(), **{"anthropic-version": "yesterday"}))
