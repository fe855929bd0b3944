"""The gateway as a process of its own: settings, secrets, SIGTERM; auth and ledger are asked over HTTP."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx2
import jwt
import orjson
import pytest

from contracts.gateway import UsageRecorded
from gateway.cli import cli
from gateway.serving import AFTER_GRACE_S
from gateway.usage.spool_files import unacknowledged
from kit import apikeys
from kit.testing import Signer
from kit.testing_commands import called
from sandbox.outside import serving as serving_outside

pytestmark = pytest.mark.long

PROMPT = "marker-prompt-7c1f"
ASK = {"model": "claude-haiku-5-5", "max_tokens": 200, "messages": [{"role": "user", "content": PROMPT}]}


class Inside:
    """Auth and ledger, as far as the gateway asks them."""

    def __init__(self, *, issuer: str, snapshot_of) -> None:
        self.signer = Signer(issuer=issuer)
        self.account_id = uuid4()
        self.key = apikeys.make("live")
        self._snapshot_of = snapshot_of

    async def __call__(self, scope, receive, send) -> None:
        body = await self._body(receive)
        status, answer = self._answer(scope["path"], body)
        head = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        await send(head)
        await send({"type": "http.response.body", "body": orjson.dumps(answer)})

    @staticmethod
    async def _body(receive) -> bytes:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return body

    def _answer(self, path: str, body: bytes):
        if path == "/auth/jwks.json":
            public = self.signer._private.public_key()
            key = jwt.algorithms.OKPAlgorithm.to_jwk(public, as_dict=True)
            return 200, {"keys": [{**key, "kid": "test-key", "alg": "EdDSA", "use": "sig"}]}
        if path == "/internal/service-tokens":
            asked = orjson.loads(body)
            return 200, {"access_token": self.signer.service_token("gateway", asked["audience"]), "expires_in": 300}
        if path == "/internal/api-keys/resolve":
            if orjson.loads(body)["key"] != self.key:
                return 404, {"code": "unknown_api_key"}
            token = self.signer.user_token(account_id=self.account_id, api_key_id=uuid4())
            return 200, {"access_token": token, "expires_in": 600}
        found = re.fullmatch(r"/internal/accounts/([0-9a-f-]{36})/snapshot", path)
        assert found, path
        return 200, self._snapshot_of(UUID(found[1]), credit=10).payload()


@contextlib.asynccontextmanager
async def process(stack, provider, inside_url: str, log_path, *, port: int) -> AsyncIterator[subprocess.Popen[bytes]]:
    env = {
        **os.environ,
        "FAREGATE_ENVIRONMENT": "sandbox",
        "FAREGATE_KAFKA_BOOTSTRAP": stack.kafka_bootstrap,
        "FAREGATE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "FAREGATE_AUTH_URL": inside_url,
        "FAREGATE_LEDGER_URL": inside_url,
        "FAREGATE_BILLING_URL": inside_url,
        "FAREGATE_NOTIFIER_URL": inside_url,
        "FAREGATE_REDIS_URL": stack.redis_url,
        "FAREGATE_GATEWAY_PORT": str(port),
        "FAREGATE_GATEWAY_SERVICE_SECRET": "a-service-secret",
        "FAREGATE_GATEWAY_SHUTDOWN_GRACE_S": "1",
        "FAREGATE_GATEWAY_STATE_DIR": str(log_path.parent / "state"),
        "FAREGATE_ANTHROPIC_API_KEY": provider.api_key,
        "FAREGATE_ANTHROPIC_BASE_URL": provider.base_url,
    }
    with log_path.open("wb") as log:
        running = subprocess.Popen(  # noqa: ASYNC220  # it is back before it matters
            [sys.executable, "-m", "gateway", "serve"], env=env, stderr=log, stdout=log
        )
        try:
            await ready(port, running)
            yield running
        finally:
            running.kill()
            await asyncio.to_thread(running.wait)


async def ready(port: int, running: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(60), httpx2.AsyncClient() as http:
        while running.poll() is None:
            with contextlib.suppress(httpx2.TransportError):
                if (await http.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    pytest.fail("the gateway did not start")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def test_sigterm_ends_streams_with_an_error_and_their_usage_and_exits_with_0(
    stack, gateway, provider, usage_of, snapshot_of, tmp_path
):
    port = free_port()
    inside = Inside(issuer=f"http://127.0.0.1:{port}", snapshot_of=snapshot_of)
    headers = {"x-api-key": inside.key, "anthropic-version": "2023-06-01"}
    log_path = tmp_path / "gateway.log"
    async with (
        serving_outside(inside, host="127.0.0.1", port=0) as inside_url,
        process(stack, provider, inside_url, log_path, port=port) as running,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as http,
    ):
        whole = await http.post("/v1/messages", json=ASK, headers={"anthropic-sandbox-scenario": "fast"})
        body, slow = {**ASK, "stream": True}, {"anthropic-sandbox-scenario": "delay_ms=200"}
        read = b""
        async with http.stream("POST", "/v1/messages", json=body, headers=slow) as answer:
            async for part in answer.aiter_raw():
                if not read:
                    running.send_signal(signal.SIGTERM)
                read += part
        code = await asyncio.to_thread(running.wait, 15)

    assert whole.status_code == 200
    assert code == 0
    assert read.rstrip().rpartition(b"\n\n")[2].startswith(b"event: error")
    done, cut = sorted(await usage_of(inside.account_id, at_least=2), key=lambda event: event.ended_at)
    assert (done.outcome, done.basis) == ("completed", "provider")
    assert (cut.outcome, cut.basis, cut.error_type) == ("truncated", "estimated", "shutdown")
    assert 0 < cut.counts.output_tokens < 40
    logged = log_path.read_text()
    assert "admission.started" in logged
    for secret in (PROMPT, inside.key, provider.api_key, "a-service-secret", "This is the sandbox speaking"):
        assert secret not in logged


async def test_sigterm_while_kafka_is_away_closes_calls_spools_their_events_and_exits_with_0_within_the_bound(
    stack, topics, provider, snapshot_of, book, gateway, tmp_path
):
    port = free_port()
    inside = Inside(issuer=f"http://127.0.0.1:{port}", snapshot_of=snapshot_of)
    headers = {"x-api-key": inside.key, "anthropic-version": "2023-06-01", "anthropic-sandbox-scenario": "delay_ms=200"}
    async with (
        serving_outside(inside, host="127.0.0.1", port=0) as inside_url,
        process(stack, provider, inside_url, tmp_path / "gateway.log", port=port) as running,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as http,
    ):
        read = b""
        async with http.stream("POST", "/v1/messages", json={**ASK, "stream": True}) as answer:
            await stack.kafka.stop()
            try:
                running.send_signal(signal.SIGTERM)
                began_s = time.monotonic()
                async for part in answer.aiter_raw():
                    read += part
                code = await asyncio.to_thread(running.wait, 1 + AFTER_GRACE_S)
                took_s = time.monotonic() - began_s
            finally:
                await stack.kafka.start()

    assert (code, answer.status_code) == (0, 200)
    assert took_s < 1 + AFTER_GRACE_S
    assert read.rstrip().rpartition(b"\n\n")[2].startswith(b"event: error")
    (spool,) = (tmp_path / "state").glob("*/spool")
    usage = [orjson.loads(event.value) for event, _ in unacknowledged(spool) if event.topic == UsageRecorded.type]
    assert [event["data"]["outcome"] for event in usage] == ["truncated"]


@pytest.mark.parametrize("missing", ["FAREGATE_ANTHROPIC_API_KEY", "FAREGATE_GATEWAY_SERVICE_SECRET"])
async def test_a_missing_secret_is_refused_by_name(missing: str):
    given = {
        "FAREGATE_KAFKA_BOOTSTRAP": "x:1",
        "FAREGATE_PUBLIC_URL": "http://x",
        "FAREGATE_AUTH_URL": "http://x",
        "FAREGATE_LEDGER_URL": "http://x",
        "FAREGATE_BILLING_URL": "http://x",
        "FAREGATE_NOTIFIER_URL": "http://x",
        "FAREGATE_REDIS_URL": "redis://x",
        "FAREGATE_ANTHROPIC_API_KEY": "k",
        "FAREGATE_GATEWAY_SERVICE_SECRET": "s",
    }
    del given[missing]
    run = await called(cli, "serve", env=given)
    assert run.returncode == 2
    assert run.stderr == f"gateway refuses to start: {missing}: is not set\n"
