"""No part of a credential is in a log, a refusal's words or a traceback, whatever goes wrong."""

import asyncio
import traceback
from collections.abc import Callable
from uuid import uuid4

import httpx2
import pytest
import structlog

from gateway.adapters.auth import Asked, AuthKeyResolver, AuthRechecker
from gateway.adapters.services import Bounds, Services
from gateway.identity.api_keys import ApiKeys
from gateway.identity.credentials import Credentials
from gateway.identity.flood import UnknownCredentials
from gateway.identity.vouching import Vouching
from kit import apikeys
from kit.clock import ManualClock
from kit.errors import DomainError
from kit.identity import Revocations, ServiceTokens
from kit.testing import Signer
from kit.tokens import JwksClient, TokenVerifier

ISSUER = "http://faregate.test"
SERVICE_SECRET = "marker-service-secret-91"
KEY = apikeys.make("live")
TOKEN = Signer(issuer=ISSUER).user_token(account_id=uuid4())
PARTS = [KEY[8:], KEY[8:20], TOKEN, TOKEN.split(".")[1], TOKEN.split(".")[2][:30], SERVICE_SECRET, "marker-cookie"]

CREDENTIALS = {
    "a key": [(b"x-api-key", KEY.encode())],
    "a key as bearer": [(b"authorization", f"Bearer {KEY}".encode())],
    "a mistyped key": [(b"x-api-key", KEY[:-1].encode() + b"-")],
    "a token": [(b"authorization", f"Bearer {TOKEN}".encode())],
    "half a token": [(b"authorization", f"Bearer {TOKEN[:-20]}".encode())],
    "a token of another kind": [(b"authorization", f"Bearer x{TOKEN}".encode())],
    "both": [(b"authorization", f"Bearer {TOKEN}".encode()), (b"x-api-key", KEY.encode())],
    "another scheme": [(b"authorization", f"Basic {TOKEN}".encode())],
}


def refused(_request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("nobody listens")


def slow(_request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ReadTimeout("too slow")


def unknown_key(request: httpx2.Request) -> httpx2.Response:
    if request.url.path == "/internal/service-tokens":
        return httpx2.Response(200, json={"access_token": TOKEN, "expires_in": 300})
    return httpx2.Response(404, json={"code": "unknown_api_key"})


def nonsense(request: httpx2.Request) -> httpx2.Response:
    if request.url.path == "/internal/service-tokens":
        return httpx2.Response(200, json={"access_token": TOKEN, "expires_in": 300})
    return httpx2.Response(200, json={"access_token": TOKEN, "expires_in": 300, "keys": [KEY]})


def echoing(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(500, content=request.content + str(request.headers.raw).encode())


@pytest.mark.parametrize("auth", [refused, slow, unknown_key, nonsense, echoing])
async def test_no_failure_tells_of_a_credential(auth: Callable[[httpx2.Request], httpx2.Response]) -> None:
    clock = ManualClock()
    told: list[str] = []
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(auth)) as http:
        tokens = ServiceTokens(service="gateway", secret=SERVICE_SECRET, auth_url="http://auth", http=http, clock=clock)
        verifier = TokenVerifier(JwksClient("http://auth/jwks", http=http, clock=clock), issuer=ISSUER, clock=clock)
        revocations, unknown = Revocations(), UnknownCredentials(clock=clock)
        api_keys = ApiKeys(
            AuthKeyResolver("http://auth", http=http, tokens=tokens), verifier, clock=clock, unknown=unknown
        )
        rechecker = AuthRechecker("http://auth", http=http, tokens=tokens)
        vouching = Vouching(_Silent(), rechecker, revocations, clock=clock)
        credentials = Credentials(verifier, revocations, api_keys, clock=clock, vouching=vouching, unknown=unknown)
        with structlog.testing.capture_logs() as logs:
            told += [await _told(credentials.of(headers, peer="192.0.2.1")) for headers in CREDENTIALS.values()]
            told.append(await _told(rechecker.recheck(Asked(frozenset(), frozenset(), frozenset(), frozenset()))))
    told += [str(one) for one in logs]

    assert len(told) > len(CREDENTIALS)
    for text in told:
        assert not [part for part in PARTS if part in text]


async def test_a_service_that_is_away_is_logged_without_the_request() -> None:
    services = Services()
    await services.start()
    headers = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"cookie", b"marker-cookie"), (b"x-key", KEY.encode())]
    with structlog.testing.capture_logs() as logs:
        url = f"http://127.0.0.1:1/auth/x?token={KEY}"
        told = await _told(services.ask("POST", url, headers=headers, body=KEY.encode(), bounds=Bounds()))
    await services.stop()

    assert logs
    assert not [part for part in PARTS if part in told + str(logs)]


async def _told(asking) -> str:
    """What the refusal says, with the traceback as a log of an unexpected error would print it."""
    with pytest.raises(DomainError) as refused:
        async with asyncio.timeout(5):
            await asking
    return refused.value.detail + "".join(traceback.format_exception(refused.value))


class _Silent:
    current_at = float("-inf")
