"""Answers pass as they come, within bounds; a service in trouble is 503; strangers are limited."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from gateway.adapters.services import Services
from gateway.entrypoints import forward
from gateway.identity.flood import Allowance, Buckets
from kit.clock import SystemClock
from kit.health import Health
from kit.http import create_app

from .forwarding_world import World, idle, running_world


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_world() -> AsyncIterator[World]:
    async with running_world(anonymous=Allowance(burst=10_000, per_s=100)) as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.service.reset()
    return shared_world


async def test_events_pass_as_they_come_and_outlast_the_time_limit(world: World) -> None:
    go_on = asyncio.Event()

    async def events(_scope: dict[str, Any], send: Any) -> None:
        head = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"transfer-encoding", b"chunked")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await go_on.wait()
        await asyncio.sleep(1.2)
        await send({"type": "http.response.body", "body": b"data: 2\n\n" * 20_000})

    world.service.handler = events
    async with world.http.stream("GET", "/notifications", headers={"accept": "text/event-stream"}) as answer:
        parts = answer.aiter_raw()
        assert await anext(parts) == b"data: 1\n\n"
        go_on.set()
        rest = b"".join([part async for part in parts])
    assert rest == b"data: 2\n\n" * 20_000
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_a_client_who_leaves_a_stream_ends_the_services_side(world: World) -> None:
    async def endless(_scope: dict[str, Any], send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        while not world.service.left.is_set():
            await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
            await asyncio.sleep(0.05)

    world.service.handler = endless
    async with world.http.stream("GET", "/notifications", headers={"accept": "text/event-stream"}) as answer:
        await anext(answer.aiter_raw())
    async with asyncio.timeout(5):
        await world.service.left.wait()


async def test_a_service_that_is_too_slow_is_503(world: World) -> None:
    async def slow(_scope: dict[str, Any], _send: Any) -> None:
        await asyncio.sleep(3)

    world.service.handler = slow
    answer = await world.http.get("/billing/offers")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"]


async def test_an_answer_that_says_it_is_too_large_is_503(world: World) -> None:
    async def large(_scope: dict[str, Any], send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100001")]})
        await send({"type": "http.response.body", "body": b"x" * 100_001})

    world.service.handler = large
    assert (await world.http.get("/billing/offers")).status_code == 503


@pytest.mark.parametrize("fault", ["too large", "breaks off", "falls silent"])
async def test_an_answer_that_does_not_end_well_has_no_clean_end(world: World, fault: str) -> None:
    async def broken(_scope: dict[str, Any], send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/csv")]})
        await send({"type": "http.response.body", "body": b"x" * 50_000, "more_body": True})
        if fault == "too large":
            await send({"type": "http.response.body", "body": b"x" * 50_001})
        elif fault == "falls silent":
            await asyncio.sleep(3)
        else:
            raise RuntimeError("the service dies")

    world.service.handler = broken
    with pytest.raises(httpx2.RemoteProtocolError):
        await world.http.get("/billing/export")


async def test_heads_and_cookies_pass_and_connections_are_the_gateways_own(world: World) -> None:
    async def answered(scope: dict[str, Any], send: Any) -> None:
        headers = [
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"connection", b"close"),
            (b"content-length", b"5"),
        ]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else b"hello"})

    world.service.handler = answered
    answer = await world.http.post("/auth/login", json={})
    assert (answer.status_code, answer.text) == (201, "hello")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert "connection" not in answer.headers
    head = await world.http.head("/auth/login")
    assert (head.status_code, head.headers["content-length"], head.content) == (201, "5", b"")


async def from_address(world: World, local: str, path: str, **given: Any) -> httpx2.Response:
    transport = httpx2.AsyncHTTPTransport(local_address=local)
    async with httpx2.AsyncClient(transport=transport, base_url=world.address) as http:
        return await http.post(path, json={}, **given)


@pytest_asyncio.fixture(loop_scope="session")
async def limiting() -> AsyncIterator[World]:
    async with running_world(anonymous=Allowance(burst=20, per_s=0.5)) as world:
        yield world


async def test_requests_to_auth_without_a_credential_are_limited_by_address(limiting: World) -> None:
    world = limiting
    statuses = [(await world.http.post("/auth/login", json={})).status_code for _ in range(20)]
    assert set(statuses) == {200}

    refused = await world.http.post("/auth/login", json={})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) >= 1
    for garbage in ("Bearer a.b.c", "Bearer fg_live_x", "Basic YTpi"):
        assert (await world.http.post("/auth/login", headers={"authorization": garbage})).status_code == 429
    spoofed = {"x-forwarded-for": "9.9.9.9", "forwarded": "for=9.9.9.9"}
    assert (await world.http.post("/auth/login", headers=spoofed)).status_code == 429
    assert (await world.http.get("/auth/me", headers=world.token())).status_code == 200
    assert (await world.http.get("/billing/offers")).status_code == 200
    assert (await from_address(world, "127.0.0.2", "/auth/login")).status_code == 200


async def test_what_all_gateways_counted_limits_too(world: World) -> None:
    asked: list[tuple[str, str]] = []

    async def shared(address: str, kind: str) -> float | None:
        asked.append((address, kind))
        return 7.2

    clock = SystemClock()
    anonymous = Buckets(Allowance(burst=20, per_s=1), clock=clock)
    credentials: Any = _NoCredentials()
    forwarder = forward.Forwarder(Services(), credentials, anonymous=anonymous, shared=shared)
    app = create_app(
        service="gateway",
        title="t",
        routers=[forward.build_router(forwarder, services={"auth": "http://127.0.0.1:1"})],
        health=Health(live={}, ready={}),
        lifespan=idle,
    )
    transport = httpx2.ASGITransport(app, client=("2001:db8::7", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as http:
        answer = await http.get("/auth/me")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "8")
    assert asked == [("2001:db8::/64", "auth_route")]


class _NoCredentials:
    async def of(self, headers: object, *, peer: str) -> None:
        raise forward.UnauthenticatedError("none")
