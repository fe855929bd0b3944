"""The stand-in provider's bytes: pace, pieces, faults and what it keeps of them."""

import asyncio
import hashlib
import itertools
import json
import os
import subprocess
import sys
import time
from typing import Any

import httpx2
import pytest

from sandbox.fixtures_outside import Provider, outside_process
from sandbox.provider.request import MAX_BODY_BYTES
from sandbox.provider.testing import running_provider

ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
}


@pytest.fixture
async def wire(provider: Provider):
    headers = {"x-api-key": provider.api_key, "anthropic-version": "2023-06-01"}
    async with httpx2.AsyncClient(base_url=provider.base_url, headers=headers) as client:
        yield client


async def ask(wire: httpx2.AsyncClient, scenario: str = "", *, stream: bool = True, **changes: Any):
    body = {**ASK, "stream": stream, **changes}
    return await wire.post("/v1/messages?beta=true", json=body, headers={"anthropic-sandbox-scenario": scenario})


async def refused(wire: httpx2.AsyncClient, content: bytes | dict[str, Any], **headers: str) -> tuple[int, str, str]:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = await wire.post("/v1/messages", content=raw, headers={"content-type": "application/json", **headers})
    body = answer.json()
    assert body["type"] == "error"
    assert body["request_id"] == answer.headers["request-id"]
    return answer.status_code, body["error"]["type"], body["error"]["message"]


async def read_until_broken(wire: httpx2.AsyncClient, scenario: str, *, stream: bool = True) -> tuple[bytes, str]:
    """What arrived before the connection broke, and the request's id."""
    read = b""
    headers = {"x-sandbox-scenario": scenario}
    async with wire.stream("POST", "/v1/messages", json={**ASK, "stream": stream}, headers=headers) as answer:
        try:
            async for part in answer.aiter_raw():
                read += part
        except httpx2.RemoteProtocolError:
            return read, answer.headers["request-id"]
    pytest.fail("the answer came whole")


def parsed(body: bytes) -> list[dict[str, Any]]:
    blocks = body.decode().removesuffix("\n\n").split("\n\n")
    return [json.loads(block.split("\n", 1)[1].removeprefix("data: ")) for block in blocks]


async def test_every_answer_names_its_request_organization_and_limits(wire: httpx2.AsyncClient):
    for answer in (await ask(wire, "fast"), await wire.get("/v1/models"), await wire.get("/v1/nowhere")):
        assert answer.headers["request-id"].startswith("req_01")
        assert answer.headers["anthropic-organization-id"]
        for kind in ("requests", "tokens", "input-tokens", "output-tokens"):
            assert int(answer.headers[f"anthropic-ratelimit-{kind}-remaining"]) > 0
            assert answer.headers[f"anthropic-ratelimit-{kind}-reset"].endswith("Z")


async def test_a_stream_is_plain_server_sent_events_with_pings(wire: httpx2.AsyncClient):
    answer = await ask(wire, "fast+pings")

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.content.startswith(b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01')
    assert answer.content.count(b'event: ping\ndata: {"type": "ping"}\n\n') == 41
    assert answer.content.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


async def test_unknown_events_and_fields_are_there(wire: httpx2.AsyncClient):
    body = (await ask(wire, "fast+unknown")).content

    assert b"event: sandbox_novelty\n" in body
    assert parsed(body)[0]["message"]["sandbox_unknown"] == {"nested": [1, 2, 3]}
    assert parsed(body)[-2]["usage"]["sandbox_unknown_tokens"] == 7


@pytest.mark.parametrize("size", [1, 2, 7, 64])
async def test_pieces_are_cut_inside_letters_and_between_line_ends(
    provider: Provider, wire: httpx2.AsyncClient, size: int
):
    headers = {"x-sandbox-scenario": f"unicode;chunk={size};output_tokens=20"}
    pieces = []
    async with wire.stream("POST", "/v1/messages", json={**ASK, "stream": True}, headers=headers) as answer:
        pieces = [part async for part in answer.aiter_raw()]

    body = b"".join(pieces)
    assert body == provider.bytes(answer.headers["request-id"])
    assert max(map(len, pieces)) <= size
    assert (
        "".join(event["delta"]["text"] for event in parsed(body) if "text" in event.get("delta", {})).isascii() is False
    )
    if size == 1:
        assert any(left[-1:] == b"\n" == right[:1] for left, right in itertools.pairwise(pieces))
        assert any(piece[0] & 0xC0 == 0x80 for piece in pieces)


async def test_the_default_pace_lets_a_stream_be_seen(wire: httpx2.AsyncClient):
    began = time.monotonic()
    await ask(wire, "output_tokens=20")
    default_s = time.monotonic() - began
    began = time.monotonic()
    await ask(wire, "output_tokens=20;delay_ms=0")

    assert default_s > 0.29
    assert time.monotonic() - began < default_s / 2


async def test_the_first_byte_can_be_late(wire: httpx2.AsyncClient):
    headers = {"x-sandbox-scenario": "first_byte_ms=300;delay_ms=0"}
    began = time.monotonic()
    async with wire.stream("POST", "/v1/messages", json={**ASK, "stream": True}, headers=headers) as answer:
        first_s = time.monotonic() - began
        await answer.aread()

    assert first_s >= 0.3


async def test_a_truncated_stream_breaks_the_connection(provider: Provider, wire: httpx2.AsyncClient):
    read, request_id = await read_until_broken(wire, "truncate;after=5;delay_ms=0")

    assert len(parsed(read)) == 5
    assert provider.bytes(request_id) == read
    [call] = [call for call in provider.calls() if call["request_id"] == request_id]
    assert call["ended"] == "truncated"
    assert call["usage"]["output_tokens"] == 1
    assert call["usage_if_finished"]["output_tokens"] == 40


async def test_a_truncated_message_breaks_the_connection(wire: httpx2.AsyncClient):
    read, _ = await read_until_broken(wire, "truncate", stream=False)

    assert 0 < len(read) < 1000


async def test_a_stream_can_end_cleanly_without_its_last_event(wire: httpx2.AsyncClient):
    answer = await ask(wire, "eof;delay_ms=0")

    assert answer.status_code == 200
    assert b"message_stop" not in answer.content
    assert b"message_delta" not in answer.content


async def test_an_error_event_ends_a_stream(wire: httpx2.AsyncClient):
    answer = await ask(wire, "error;after=4;delay_ms=0;error_type=api_error")

    last = parsed(answer.content)[-1]
    assert len(parsed(answer.content)) == 5
    assert last["error"] == {"type": "api_error", "message": "Internal server error"}
    assert last["request_id"] == answer.headers["request-id"]
    assert answer.content.rpartition(b"event: ")[2].startswith(b"error\n")


async def test_an_error_in_a_call_without_a_stream_is_a_status(wire: httpx2.AsyncClient):
    assert (await ask(wire, "error", stream=False)).status_code == 529


@pytest.mark.parametrize("scenario", ["hang;after=0", "hang;after=3;delay_ms=0"])
async def test_a_client_that_leaves_a_hanging_call_is_noted(
    provider: Provider, wire: httpx2.AsyncClient, scenario: str
):
    with pytest.raises(httpx2.ReadTimeout):
        await wire.post(
            "/v1/messages", json={**ASK, "stream": True}, headers={"x-sandbox-scenario": scenario}, timeout=0.3
        )

    assert await ended(provider) == "client_gone"


async def test_a_client_that_leaves_a_running_stream_is_noted(provider: Provider, wire: httpx2.AsyncClient):
    headers = {"x-sandbox-scenario": "output_tokens=200;delay_ms=20"}
    async with wire.stream("POST", "/v1/messages", json={**ASK, "stream": True}, headers=headers) as answer:
        await anext(answer.aiter_raw())

    assert await ended(provider) == "client_gone"
    assert provider.calls(limit=1)[0]["usage"]["output_tokens"] == 1


async def ended(provider: Provider) -> str:
    for _ in range(100):
        [call] = provider.calls(limit=1)
        if call["ended"] != "open":
            return str(call["ended"])
        await asyncio.sleep(0.02)
    return "open"


async def test_a_call_is_logged_with_its_usage_and_without_its_body(provider: Provider, wire: httpx2.AsyncClient):
    headers = {"anthropic-beta": "sandbox-2026-01-01", "x-secret": "never-shown", "x-sandbox-scenario": "fast"}
    body = json.dumps({**ASK, "stream": True}).encode()
    answer = await wire.post("/v1/messages", content=body, headers=headers)

    [call] = provider.calls(limit=1)
    assert call["request_id"] == answer.headers["request-id"]
    assert (call["status"], call["ended"], call["model"]) == (200, "completed", "claude-haiku-5-5")
    assert call["usage"] == call["usage_if_finished"]
    assert call["scenario"] == "fast"
    assert call["anthropic_headers"] == {"anthropic-beta": "sandbox-2026-01-01", "anthropic-version": "2023-06-01"}
    assert {"x-secret", "x-api-key", "host"} <= set(call["headers"])
    assert call["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert "never-shown" not in json.dumps(call)
    assert provider.bytes(call["request_id"]) == answer.content


async def test_the_process_stops_at_once_although_a_call_hangs():
    with outside_process("sandbox.provider", "--port", "0", env={"FAREGATE_SANDBOX_PROVIDER_API_KEY": "k"}) as [url]:
        headers = {"x-api-key": "k", "anthropic-version": "2023-06-01", "x-sandbox-scenario": "hang"}
        async with httpx2.AsyncClient(headers=headers) as client:
            hanging = asyncio.ensure_future(client.post(f"{url}/v1/messages", json=ASK))
            await asyncio.sleep(0.2)
            began = time.monotonic()
    stopped_s = time.monotonic() - began

    assert isinstance((await asyncio.gather(hanging, return_exceptions=True))[0], httpx2.HTTPError | RuntimeError)
    assert stopped_s < 5


def test_a_process_without_its_credential_refuses_and_names_it():
    env = {name: value for name, value in os.environ.items() if name != "FAREGATE_SANDBOX_PROVIDER_API_KEY"}
    command = [sys.executable, "-m", "sandbox.provider", "--port", "0"]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env=env)

    assert ended.returncode == 1
    assert "FAREGATE_SANDBOX_PROVIDER_API_KEY is not set" in ended.stderr


async def test_the_log_can_be_emptied(wire: httpx2.AsyncClient):
    async with running_provider() as (url, key):
        await wire.post(f"{url}/v1/messages", json=ASK, headers={"x-api-key": key})
        assert len((await wire.get(f"{url}/sandbox/calls")).json()) == 1
        await wire.delete(f"{url}/sandbox/calls")

        assert (await wire.get(f"{url}/sandbox/calls")).json() == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The request body is not valid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"model": ', "The request body is not valid JSON: EOF while parsing a value at line 1 column 10"),
        (b"\xff\xfe", "The request body is not valid JSON: expected value at line 1 column 1"),
        (b"[1]", "Input should be a valid dictionary"),
        ({**ASK, "messages": []}, "messages: at least one message is required"),
        ({**ASK, "messages": "hi"}, "messages: Input should be a valid array"),
        ({**ASK, "messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({**ASK, "messages": [{"role": "user", "content": 4}]}, "messages.0.content: Input should be a valid list"),
        (
            {**ASK, "messages": [{"role": "user", "content": ""}]},
            "messages.0: user messages must have non-empty content",
        ),
        ({**ASK, "max_tokens": "10"}, "max_tokens: Input should be a valid integer"),
        ({**ASK, "max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({**ASK, "stream": "yes"}, "stream: Input should be a valid boolean"),
        ({**ASK, "temperature": 1.5}, "temperature: Input should be less than or equal to 1"),
        ({**ASK, "system": 3}, "system.str: Input should be a valid string"),
        ({**ASK, "nonsense": 1}, "nonsense: Extra inputs are not permitted"),
        ({**ASK, "tools": [{"name": "a"}]}, "tools.0.custom.input_schema: Field required"),
        ({**ASK, "thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
        (
            {**ASK, "max_tokens": 999_999},
            "max_tokens: 999999 > 128000, which is the maximum allowed number of output tokens for claude-haiku-5-5",
        ),
    ],
)
async def test_a_malformed_request_is_refused_by_field_and_reason(wire: httpx2.AsyncClient, body: Any, message: str):
    assert await refused(wire, body) == (400, "invalid_request_error", message)


@pytest.mark.parametrize("missing", ["model", "messages", "max_tokens"])
async def test_a_missing_field_is_named(wire: httpx2.AsyncClient, missing: str):
    body = {name: value for name, value in ASK.items() if name != missing}

    assert await refused(wire, body) == (400, "invalid_request_error", f"{missing}: Field required")


async def test_an_unknown_block_and_a_role_are_refused(wire: httpx2.AsyncClient):
    _, _, block = await refused(wire, {**ASK, "messages": [{"role": "user", "content": [{"type": "smell"}]}]})
    _, _, role = await refused(wire, {**ASK, "messages": [{"role": "narrator", "content": "hi"}]})

    assert block.startswith("messages.0.content.0: Input tag 'smell' found using 'type' does not match")
    assert role == "messages.0.role: Input should be 'user', 'assistant' or 'system'"


@pytest.mark.parametrize("version", ["", "2024-01-01", "2023-06-01, 2023-06-01"])
async def test_a_wrong_version_is_refused(wire: httpx2.AsyncClient, version: str):
    _, kind, message = await refused(wire, ASK, **{"anthropic-version": version})

    assert (kind, message) == ("invalid_request_error", f'anthropic-version: "{version}" is not a valid version')


async def test_a_missing_version_is_refused(provider: Provider):
    async with httpx2.AsyncClient(base_url=provider.base_url, headers={"x-api-key": provider.api_key}) as wire:
        assert (await refused(wire, ASK))[2] == "anthropic-version: header is required"


async def test_a_missing_credential_is_refused_before_all_else(provider: Provider):
    async with httpx2.AsyncClient(base_url=provider.base_url) as wire:
        assert await refused(wire, b"") == (401, "authentication_error", "x-api-key header is required")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 1}, "temperature: Extra inputs are not permitted"),
        ({"top_k": 5}, "top_k: Extra inputs are not permitted"),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "document", "source": {}}]}]},
            "messages.0.content.0: document blocks are not permitted in assistant turns",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "citations": [{}]}]}]},
            "messages.0.content.0.text.citations: citations are not permitted on user text blocks",
        ),
    ],
)
async def test_the_newer_version_refuses_what_the_older_takes(wire: httpx2.AsyncClient, change: Any, message: str):
    older = await wire.post("/v1/messages", json={**ASK, **change})

    assert older.status_code == 200
    assert (await refused(wire, {**ASK, **change}, **{"anthropic-version": "2026-10-21"}))[2] == message


async def test_a_body_that_is_too_large_is_refused(wire: httpx2.AsyncClient):
    async def endless():
        for _ in range(MAX_BODY_BYTES // 1_000_000 + 2):
            yield b" " * 1_000_000

    announced = await wire.post("/v1/messages", content=b" " * (MAX_BODY_BYTES + 1))
    try:
        chunked = await wire.post("/v1/messages", content=endless())
    except (httpx2.WriteError, httpx2.RemoteProtocolError):
        chunked = announced

    assert announced.status_code == chunked.status_code == 413
    assert announced.json()["error"]["type"] == "request_too_large"


async def test_a_scenario_that_is_not_known_is_refused(wire: httpx2.AsyncClient):
    name = await ask(wire, "dance")
    param = await ask(wire, "text;delay_ms=soon")
    unknown = await ask(wire, "text;volume=11")

    assert name.status_code == param.status_code == unknown.status_code == 400
    assert "unknown name 'dance'" in name.text
    assert "delay_ms" in param.text
    assert "volume" in unknown.text


async def test_other_paths_and_methods_are_refused_in_the_envelope(wire: httpx2.AsyncClient):
    nowhere, method = await wire.get("/v1/nowhere"), await wire.put("/v1/messages")

    assert (nowhere.status_code, nowhere.json()["error"]["type"]) == (404, "not_found_error")
    assert (method.status_code, method.headers["allow"]) == (405, "POST")


async def test_the_probes_need_no_credential(provider: Provider):
    async with httpx2.AsyncClient(base_url=provider.base_url) as wire:
        hello, live = await wire.head("/api/hello"), await wire.get("/health/live")

    assert (hello.status_code, hello.content) == (200, b"")
    assert live.json() == {"status": "live"}


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"after_id": "nothing"}])
async def test_a_bad_page_of_models_is_refused(wire: httpx2.AsyncClient, query: dict[str, str]):
    assert (await wire.get("/v1/models", params=query)).status_code == 400


async def test_the_list_of_models_goes_both_ways(wire: httpx2.AsyncClient):
    first = (await wire.get("/v1/models", params={"limit": 2})).json()
    second = (await wire.get("/v1/models", params={"limit": 2, "after_id": first["last_id"]})).json()
    back = (await wire.get("/v1/models", params={"limit": 2, "before_id": second["first_id"]})).json()

    assert first["has_more"]
    assert first["last_id"] != second["first_id"]
    assert (back["data"], back["has_more"]) == (first["data"], False)
