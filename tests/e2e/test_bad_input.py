"""Every public route, taken from the documents that describe them, refuses what is wrong in its own envelope."""

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.e2e.bodies import BODIES, SPECS
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import MODEL

pytestmark = pytest.mark.stack

SERVICES = ("auth", "ledger", "billing", "notifier", "gateway")
# Routes that need no token; all others must refuse to work without one.
OPEN = {
    ("GET", "/"),
    ("GET", "/api/hello"),
    ("GET", "/api/health"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("POST", "/register"),
    ("POST", "/api/auth/signup"),
    ("POST", "/api/auth/login"),
    ("POST", "/auth/register"),
    ("POST", "/auth/login"),
    ("POST", "/auth/refresh"),
    ("POST", "/login"),
    ("POST", "/auth/browser/token"),
    ("POST", "/auth/browser/logout"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/.well-known/openid-configuration"),
    ("GET", "/auth/authorize"),
    ("POST", "/auth/token"),
    ("POST", "/auth/device"),
    ("POST", "/auth/revoke"),
    ("POST", "/auth/verify-email"),
    ("POST", "/auth/password/forgot"),
    ("POST", "/auth/password/reset"),
    ("POST", "/auth/email/confirm"),
    ("POST", "/auth/leaks"),
    ("GET", "/auth/sign-up-proof"),
    ("POST", "/auth/magic-links"),
    ("GET", "/auth/oauth/{provider}"),
    ("GET", "/auth/oauth/{provider}/callback"),
    ("POST", "/auth/passkeys/sign-in"),
    ("POST", "/auth/passkeys/sign-in/options"),
    ("GET", "/auth/jwks.json"),
    ("GET", "/billing/offers"),
    ("GET", "/billing/checkout/{session_id}"),
    ("POST", "/billing/webhooks/stripe"),
    ("POST", "/api/stripe/webhook"),
}
OPENAI = {"/v1/chat/completions", "/v1/responses", "/v1/embeddings"}
FITTING = {
    # Tokens are an input as good as text, and a quote takes whatever a model route takes.
    ("/v1/embeddings", "input", "[1]"),
    *(("/v1/quote", "messages", wrong) for wrong in ("{'a': 1}", "[1]", "1.5")),
    *((f"/gateway/operator/{kind}/{{name}}", "changes", "{'a': 1}") for kind in SPECS),
}
FORWARDED = ("/api/auth/", "/api/billing/", "/api/stripe/")
MAY_BE_EMPTY = {"/auth/logout", "/api/auth/logout", "/api/v1/llm/test", "/v1/holds/{hold_id}/confirm"}
NO_JSON_OBJECTS = (b"{", b"\xff\xfe", b"[]", b'"x"', b"7", b"null", b"[" * 100_000, b'{"a": 1e999999}')
INSIDES = re.compile(r'Traceback|File "|site-packages|\.py\b|asyncpg|sqlalchemy|pydantic', re.IGNORECASE)


@dataclass(frozen=True)
class Route:
    """A described route; `path` has an id in place of each parameter."""

    method: str
    described: str
    takes_json: bool
    methods: frozenset[str]

    @property
    def path(self) -> str:
        return re.sub(r"\{[^}]+\}", lambda name: MODEL if "model" in name[0] else str(uuid4()), self.described)

    @property
    def body(self) -> dict[str, Any]:
        """Of this method, or of all methods of the path."""
        return BODIES.get(f"{self.method} {self.described}") or BODIES[self.described]

    @property
    def is_model_api(self) -> bool:
        """Answers errors in the provider's envelope."""
        ours = self.described.startswith(("/v1/", "/api/", "/generate"))
        return ours and not self.described.startswith(("/v1/requests", "/api/v1/llm/providers", *FORWARDED))


@dataclass
class Door:
    """The gateway's address, an operator's token (who gets past the checks of roles), and all routes."""

    http: httpx2.AsyncClient
    token: str
    routes: list[Route]
    internal: list[tuple[str, str]]

    async def ask(self, route: Route, *, token: str | None = "", **sent: Any) -> httpx2.Response:
        headers = {"content-type": "application/json", "idempotency-key": uuid4().hex, **sent.pop("headers", {})}
        headers |= {"anthropic-version": "2023-06-01"} if route.is_model_api else {}
        headers |= {"authorization": f"Bearer {token or self.token}"} if token is not None else {}
        return await self.http.request(sent.pop("method", route.method), route.path, headers=headers, **sent)

    def methods_at(self, path: str) -> frozenset[str]:
        """Those of every described route that fits: a word of one may stand where another has an id."""
        fitting = (one for one in self.routes if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", one.described), path))
        return frozenset().union(*(one.methods for one in fitting))

    def with_json(self) -> Iterator[tuple[Route, dict[str, Any]]]:
        return ((route, route.body) for route in self.routes if route.takes_json)


@pytest.fixture(scope="module")
async def door(product: Product) -> AsyncIterator[Door]:
    async with httpx2.AsyncClient(base_url=product.url, trust_env=False, timeout=30) as http:
        described: dict[tuple[str, str], Route] = {}
        for service in SERVICES:
            paths = (await http.get(f"/{service}/openapi.json")).raise_for_status().json()["paths"]
            for path, operations in paths.items():
                methods = frozenset(method.upper() for method in operations)
                for method, operation in operations.items():
                    route = Route(method.upper(), path, _takes_object(operation), methods)
                    described[route.method, path] = route
        public = [route for (_, path), route in described.items() if not path.startswith("/internal/")]
        internal = [key for key in described if key[1].startswith("/internal/")]
        before = product.all_logs().count("request_failed")
        yield Door(http, await product.stepped_up_token(), public, internal)
        assert product.all_logs().count("request_failed") == before


def _takes_object(operation: Mapping[str, Any]) -> bool:
    """Whether its body is a JSON object; forms and lists have tests in their services."""
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return schema is not None and schema.get("type") != "array"


def refused(route: Route, answer: httpx2.Response, sent: object, *, field: str | None = None) -> None:
    told = f"{route.method} {route.described} with {sent!r:.80}: {answer.status_code} {answer.text[:400]}"
    assert 400 <= answer.status_code < 500, told
    assert not INSIDES.search(answer.text), told
    if route.is_model_api:
        error = answer.json()["error"]
        assert error["type"], told
        assert error["message"], told
        if route.described not in OPENAI:
            assert answer.json()["type"] == "error", told
            assert answer.json()["request_id"], told
        assert field is None or error["message"].startswith(field), told
        return
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json", told
    assert problem["status"] == answer.status_code, told
    assert problem["code"], told
    assert problem["detail"], told
    assert problem["request_id"], told
    named = {one["field"] for one in problem.get("errors", []) if one["reason"]}
    assert field is None or any(name == field or name.startswith(f"{field}.") for name in named), told


async def test_the_documents_describe_what_these_tests_know(door: Door) -> None:
    taking = [route for route in door.routes if route.takes_json]
    assert {route.described for route in taking} == {named.rpartition(" ")[2] for named in BODIES}
    assert all(route.body for route in taking)
    assert {(route.method, route.described) for route in door.routes} > OPEN
    assert len(door.routes) >= 30


@pytest.mark.timeout(300)
async def test_a_wrong_method_is_405(door: Door) -> None:
    at_once = asyncio.Semaphore(8)

    async def ask(route: Route, method: str) -> None:
        async with at_once:
            answer = await door.ask(route, method=method, content=b"{}")
        refused(route, answer, method)
        assert answer.status_code in {404, 405}, (method, route)

    async with asyncio.TaskGroup() as tasks:
        for route in door.routes:
            if route.described.startswith("/gateway/operator/") and "{name}/" in route.described:
                # A name may hold slashes: with another method, `x/enable` is a name.
                continue
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - door.methods_at(route.path):
                tasks.create_task(ask(route, method))


async def test_internal_routes_are_not_there(door: Door) -> None:
    assert door.internal
    for method, path in door.internal:
        route = Route(method, path, takes_json=False, methods=frozenset())
        answer = await door.ask(route, content=b"{}")
        refused(route, answer, "{}")
        assert answer.status_code == 404


async def test_a_body_that_is_no_json_object_is_refused(door: Door) -> None:
    for route, _ in door.with_json():
        for body in NO_JSON_OBJECTS:
            # A log-out may come without a body, which is what null says.
            if body != b"null" or route.described not in MAY_BE_EMPTY:
                refused(route, await door.ask(route, content=body), body)


async def test_a_wrong_type_is_refused_by_the_fields_name_and_the_reason(door: Door) -> None:
    for route, good in door.with_json():
        for name in good:
            for wrong in ({"a": 1}, [1], 1.5):
                if (route.described, name, str(wrong)) in FITTING:
                    continue
                body = {**good, name: wrong}
                field = None if name in {"messages", "input"} else name
                refused(route, await door.ask(route, json=body), body, field=field)


async def test_an_unknown_field_is_named(door: Door) -> None:
    for route, good in door.with_json():
        if route.described == "/v1/quote":
            # It takes whatever a model route takes, and costs nothing.
            continue
        if route.described in OPENAI:
            # Many providers speak it, with fields of their own; each refuses what it does not know in its own words.
            continue
        body = {**good, "colour": "red"}
        # The provider's own fields are the provider's to refuse; it has the last word on them.
        refused(route, await door.ask(route, json=body), body, field="colour")


async def test_a_missing_body_is_refused(door: Door) -> None:
    for route, _ in door.with_json():
        if route.described not in MAY_BE_EMPTY:
            refused(route, await door.ask(route), None)


async def test_text_that_databases_cannot_store_is_refused_or_harmless(door: Door) -> None:
    for route, good in door.with_json():
        for name in (name for name in good if isinstance(good[name], str)):
            for text in (r"\u0000", r"abc\u0000def", r"\ud800"):
                body = json.dumps({**good, name: "HERE"}).replace("HERE", text).encode()
                answer = await door.ask(route, content=body)
                # A prompt may hold anything that JSON can say; it is not stored.
                if not (route.is_model_api and answer.status_code == httpx2.codes.OK):
                    refused(route, answer, body)


async def test_an_oversized_body_is_413(door: Door) -> None:
    for route in door.routes:
        if route.method == "GET":
            continue
        size = (32 << 20) + 1 if route.is_model_api else (2 << 20) + 1
        body = b'{"x": "' + b"x" * size + b'"}'
        answer = await door.ask(route, content=body)
        refused(route, answer, f"{size} bytes")
        assert answer.status_code == 413


def cursor_of(*position: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


async def test_wrong_query_parameters_are_named(door: Door) -> None:
    wrong: list[tuple[str, str, str]] = [
        ("/v1/requests", "model", "a\x00b"),
        ("/v1/requests", "outcome", "splendid"),
        ("/v1/requests", "api_key_id", "7"),
    ]
    moments = ("0.5", "1e10", "yesterday", "2026-01-01T00:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59Z")
    wrong += [("/v1/requests", name, moment) for name in ("from", "to") for moment in moments]
    for path in ("/v1/requests", "/ledger/transactions", "/billing/payments", "/notifications", "/auth/api-keys"):
        wrong += [(path, "limit", limit) for limit in ("0", "-1", "201", "x", "9" * 30)]
        positions: list[tuple[object, ...]] = [(), ("x",), (-1,), (1, 2, 3), ("9999-12-31T23:59:59-14:00", "x")]
        positions.append(("2026-01-01T00:00:00Z", "a\x00"))
        wrong += [(path, "cursor", cursor) for cursor in ("x", "é", "=" * 9, *(cursor_of(*one) for one in positions))]
    for path, name, value in wrong:
        route = Route("GET", path, takes_json=False, methods=frozenset())
        refused(route, await door.ask(route, params={name: value}), (name, value), field=name)


def bad_tokens(good: str, issuer: str) -> dict[str, str]:
    """Tokens that look right and are not; `good` lends them its claims and its key's id."""
    header = jwt.get_unverified_header(good)
    claims = jwt.decode(good, options={"verify_signature": False})
    past = {**claims, "iat": time.time() - 7200, "exp": time.time() - 3600}
    head, payload, signature = good.split(".")
    own = Ed25519PrivateKey.generate()

    def signed(what: dict[str, Any], **changes: str) -> str:
        return jwt.encode(what, own, algorithm="EdDSA", headers={**header, **changes})

    def part(what: Mapping[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(what).encode()).decode().rstrip("=")

    assert claims["iss"] == issuer
    return {
        "forged with another key": signed(claims),
        "forged with a key of its own": signed(claims, kid="mine"),
        "forged with a key by address": signed(claims, jku="http://127.0.0.1:1/keys"),
        "expired": signed(past),
        "expired, under the old signature": f"{head}.{part(past)}.{signature}",
        "raised to operator": f"{head}.{part({**claims, 'operator': True, 'role': 'owner'})}.{signature[:-4]}AAAA",
        "alg none": f"{part({**header, 'alg': 'none'})}.{payload}.",
        "alg none, signed": f"{part({**header, 'alg': 'None'})}.{payload}.{signature}",
        "HMAC": jwt.encode(claims, "k" * 64, algorithm="HS256", headers={"typ": header["typ"], "kid": header["kid"]}),
        "no key id": f"{part({'alg': 'EdDSA', 'typ': header['typ']})}.{payload}.{signature}",
        "no token": "garbage",
        "three parts": "a.b.c",
        "an endless one": f"{head}.{payload}{'A' * 6000}.{signature}",
        "an unknown API key": "fg_test_" + "a" * 38,
    }


def bad_tokens_at(door: Door, issuer: str, *, all_everywhere: bool) -> Iterator[tuple[Route, str, str | None]]:
    """None and two in turn at each closed route; at one route under each first word of a path, all of them."""
    words: set[str] = set()
    closed = [route for route in door.routes if (route.method, route.described) not in OPEN]
    for number, route in enumerate(closed):
        kinds = list(bad_tokens(door.token, issuer).items())
        word = route.described.split("/")[1]
        if word in words and not all_everywhere:
            kinds = [kinds[(2 * number + turn) % len(kinds)] for turn in range(2)]
        words.add(word)
        yield route, "none at all", None
        yield from ((route, *one) for one in kinds)


@pytest.mark.parametrize("all_everywhere", [False, pytest.param(True, marks=pytest.mark.proof)])
async def test_a_bad_token_is_401_everywhere(product: Product, door: Door, *, all_everywhere: bool) -> None:
    for route, kind, token in bad_tokens_at(door, product.url, all_everywhere=all_everywhere):
        # Enough that nothing but the token is wrong.
        sent = {"json": route.body} if route.takes_json else {}
        while (answer := await door.ask(route, token=token, **sent)).status_code == 429:  # noqa: ASYNC110  # as told
            # So many of them look like guessing.
            await asyncio.sleep(int(answer.headers["retry-after"]))
        refused(route, answer, kind)
        assert answer.status_code == 401, (route, kind, answer.text)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["x-should-retry"] == "false"
        assert token is None or token not in answer.text
    assert (await door.http.get("/ledger/balance", headers={"authorization": f"Bearer {door.token}"})).is_success
