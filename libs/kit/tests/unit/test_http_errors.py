"""Every error is a problem that names field and reason, and nothing inside."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import APIRouter, FastAPI

from kit.errors import NotFoundError
from kit.health import Health
from kit.http import RequestModel, create_app


class Order(RequestModel):
    amount: int
    note: str = ""


def _router() -> APIRouter:
    router = APIRouter()

    @router.post("/shop/orders")
    async def order(order: Order) -> dict[str, int]:
        return {"amount": order.amount}

    @router.get("/shop/missing")
    async def missing() -> None:
        raise NotFoundError("There is no such order.")

    @router.get("/shop/broken")
    async def broken() -> None:
        raise KeyError("a secret detail")

    @router.get("/shop/away")
    async def away() -> None:
        raise ConnectionRefusedError

    return router


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield


async def _failing() -> None:
    raise RuntimeError("the pool is empty")


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(
        service="shop",
        title="Shop",
        routers=[_router()],
        health=Health(ready={"database": _failing}),
        lifespan=_lifespan,
        max_body_bytes=1000,
    )
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client


async def test_a_wrong_field_is_named_with_the_reason_and_without_its_value(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/shop/orders", json={"amount": "a secret", "colour": "red"})

    body = answer.json()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert {error["field"] for error in body["errors"]} == {"amount", "colour"}
    assert "a secret" not in answer.text
    assert body["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("POST", "/shop/orders", b"{", 400, "invalid_json"),
        ("POST", "/shop/orders", b"x" * 2000, 413, "body_too_large"),
        ("GET", "/shop/orders", b"", 405, "method_not_allowed"),
        ("GET", "/nowhere", b"", 404, "not_found"),
        ("GET", "/shop/missing", b"", 404, "not_found"),
        ("GET", "/shop/broken", b"", 500, "internal_error"),
        ("GET", "/shop/away", b"", 503, "unavailable"),
    ],
)
async def test_every_error_is_a_problem_with_a_stable_code(
    client: httpx2.AsyncClient, method: str, path: str, content: bytes, status: int, code: str
) -> None:
    answer = await client.request(method, path, content=content, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "secret" not in answer.text


async def test_readiness_says_why_and_liveness_does_not_depend_on_it(client: httpx2.AsyncClient) -> None:
    ready = await client.get("/health/ready")

    assert ready.status_code == 503
    assert ready.json()["failing"] == {"database": "RuntimeError: the pool is empty"}
    assert (await client.get("/health/live")).status_code == 200


async def test_a_nul_character_is_refused_by_field(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/shop/orders", json={"amount": 1, "note": "a\x00b"})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["note"]


async def test_a_trailing_slash_does_not_redirect_to_the_services_own_address(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/shop/orders/", json={"amount": 1})).status_code == 404


async def test_errors_are_described_as_the_problems_that_they_are(client: httpx2.AsyncClient) -> None:
    schema = (await client.get("/shop/openapi.json")).json()

    described = schema["paths"]["/shop/orders"]["post"]["responses"]["default"]["content"]
    assert list(described) == ["application/problem+json"]
