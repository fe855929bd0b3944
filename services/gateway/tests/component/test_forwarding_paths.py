"""No request becomes another one on its way to a service, and no service learns more of the client than it should."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gateway.entrypoints import forward
from gateway.headers import to_provider
from gateway.identity.flood import Allowance
from kit import apikeys

from .forwarding_world import World, running_world


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_world() -> AsyncIterator[World]:
    async with running_world(anonymous=Allowance(burst=10_000, per_s=100)) as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.service.reset()
    return shared_world


HOSTILE_PATHS = [
    "/internal/service-tokens",
    "//internal/service-tokens",
    "/./internal/x",
    "/auth/../internal/x",
    "/auth/./login",
    "/auth/%2e%2e/internal/x",
    "/auth/%2E%2E/internal/x",
    "/auth/.%2e/internal/x",
    "/auth/..%2finternal/x",
    "/auth%2f..%2finternal",
    "/auth/%2finternal",
    "/auth//internal/x",
    "/auth/..;/internal/x",
    "/auth/;/../internal/x",
    "/auth/x/../../internal/x",
    "/auth/..\\internal",
    "/auth/..%5cinternal",
    "/auth/%252e%252e/internal/x",
    "/auth/%00/internal",
    "/auth/%0d%0aHost:%20evil",
    "/auth/login%20HTTP/1.1%0d%0a",
    "/auth/%c0%ae%c0%ae/internal",
    "/auth/%ef%bc%8e%ef%bc%8e/internal",
    "/auth/%7f",
    "/auth/%zz",
    "/%69nternal/service-tokens",
    "/INTERNAL/x",
    "/Auth/login",
    "/ledger/..",
    "/ledger/.",
    "/metrics/../internal",
    "/v1/requests/../../internal/x",
    "/v1/requests/%2e%2e",
    "/v1/requests/a/b",
    "/v1/requests/a%2fb",
    "/billing/@evil.test/../../internal",
    "/notifications/../internal",
    "/notifier/internal",
    "/health/../internal",
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
async def test_no_disguise_of_another_path_reaches_a_service(world: World, path: str) -> None:
    answer = await world.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    assert answer.split(b" ", 2)[1] in {b"404", b"400"}
    assert world.service.requests == []


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.test/auth/login",
        "http://evil.test:80/internal/x",
        "evil.test:443",
        "*",
        "@evil.test/auth/login",
    ],
)
async def test_an_address_elsewhere_is_never_asked(world: World, target: str) -> None:
    """Whatever is done with it, only our own services are asked, and only below their own paths."""
    answer = await world.raw(f"GET {target} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 ")
    assert all(one["path"].startswith("/auth/") for one in world.service.requests)
    assert all("evil" not in dict(one["headers"])["host"] for one in world.service.requests)


@pytest.mark.parametrize("path", ["/auth/a%40b", "/ledger/x-y_z~1.2", "/billing/a:b,c=d", "/auth/%61", "/auth/..."])
async def test_what_is_harmless_passes_as_it_came(world: World, path: str) -> None:
    await world.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert [one["path"] for one in world.service.requests] == [path]


@pytest.mark.parametrize("query", [b"a=\xff", b"a=1#/internal", b"a=1 HTTP/1.1", b"a=\r\nHost: evil", b"\x00"])
def test_a_query_with_raw_bytes_is_refused(query: bytes) -> None:
    """Whatever let it in."""
    scope = {"type": "http", "path": "/auth/x", "raw_path": b"/auth/x", "query_string": query, "headers": []}
    with pytest.raises(HTTPException) as refused:
        forward._safe_target(Request(scope))
    assert refused.value.status_code == 400


async def test_nobody_outside_says_who_or_where_the_client_is(world: World) -> None:
    claims = [
        "X-Faregate-Role: operator", "X-User: 1", "X-User-Id: 1", "X_User_Id: 1", "X-Account-Id: 2", "Forwarded: for=9",
        "X-Forwarded-For: 9.9.9.9", "X-Forwarded-Host: evil", "X-Forwarded-Proto: https", "X-Real-IP: 9.9.9.9",
        "X-Original-URL: /internal", "X-Rewrite-URL: /internal", "True-Client-IP: 9.9.9.9", "CF-Connecting-IP: 9.9.9.9",
        "X-HTTP-Method-Override: DELETE", "Via: 1.1 evil", "X_Forwarded_For: 9.9.9.9", "X-Remote-User: root",
    ]  # fmt: skip
    lines = "\r\n".join(["GET /billing/offers HTTP/1.1", "Host: x", "Connection: close, X-Hop", "X-Hop: 1", *claims])
    await world.raw(f"{lines}\r\nAccept-Language: de\r\nTE: trailers\r\n\r\n".encode())

    sent = world.service.last
    assert sent["x-forwarded-for"] == "127.0.0.1"
    assert set(sent) <= {"host", "accept-language", "x-forwarded-for", "accept", "accept-encoding", "user-agent"}
    assert sent["host"] != "x"


@pytest.mark.parametrize("path", ["/ledger/balance", "/v1/requests", "/v1/requests/1"])
async def test_an_api_key_is_exchanged(world: World, path: str) -> None:
    key = world.key()
    for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
        await world.http.get(path, headers=headers)
        assert world.service.last["authorization"] == f"Bearer {world.auth.tokens[key]}"
        assert key not in str(world.service.requests)


@pytest.mark.parametrize("path", ["/auth/me", "/billing/offers", "/notifications"])
async def test_an_api_key_reaches_no_service(world: World, path: str) -> None:
    key = world.key()
    for headers in (
        {"x-api-key": key},
        {"authorization": f"bearer  {key}"},
        {"authorization": f"Token {key}"},
        {"authorization": f"Bearer {key}", "x-api-key": apikeys.make("test")},
    ):
        assert (await world.http.get(path, headers=headers)).status_code == 200
    assert len(world.service.requests) == 4
    assert "fg_test_" not in str(world.service.requests)


async def test_a_session_token_passes_as_it_came(world: World) -> None:
    headers = world.token()
    for path in ("/auth/me", "/billing/offers", "/ledger/balance", "/notifications"):
        await world.http.get(path, headers=headers)
        assert world.service.last["authorization"] == headers["authorization"]


async def test_a_credential_goes_to_no_provider() -> None:
    given = [(b"authorization", b"Bearer a"), (b"x-api-key", b"b"), (b"cookie", b"c"), (b"anthropic-version", b"d")]
    assert to_provider(given) == [(b"anthropic-version", b"d")]


async def test_a_keys_scope_bounds_forwarded_routes_too(world: World) -> None:
    key = world.key("route:/v1/messages")
    answer = await world.http.get("/v1/requests", headers={"x-api-key": key})
    assert (answer.status_code, answer.json()["code"]) == (403, "outside_scope")
    assert (await world.http.get("/v1/requests", headers={"x-api-key": world.key("model:a")})).status_code == 200
