"""No route reaches the provider without admission, and headers pass by rule."""

import ast
from pathlib import Path
from uuid import uuid4

import pytest

import gateway
from gateway.dataplane.refusals import credits_text
from gateway.dataplane.routes import ModelApi, UndeclaredRouteError
from gateway.dataplane.upstream import FREE, PAID, UnmeteredRouteError, Upstream, UpstreamRequest
from gateway.headers import to_client, to_provider, to_service

SOURCE = Path(gateway.__file__).parent


async def handler(client: object) -> None:
    raise AssertionError


async def app(scope, receive, send) -> None:
    raise AssertionError


def test_a_route_that_nobody_declared_cannot_be_registered():
    routes = dict.fromkeys([*PAID, *FREE, ("POST", "/v1/complete")], handler)
    with pytest.raises(UndeclaredRouteError, match="complete"):
        ModelApi(routes, otherwise=app)


def test_the_paid_route_cannot_be_served_by_anything_without_admission():
    with pytest.raises(UndeclaredRouteError, match="admission"):
        ModelApi(dict.fromkeys([*PAID, *FREE], handler), otherwise=app)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/messages", "/v1/messages"),
        ("POST", "/v1/messages", "/v1/messages/count_tokens"),
        ("POST", "/v1/messages/batches", "/v1/messages/batches"),
        ("GET", "/v1/models/a/b", "/v1/models/{id}"),
    ],
)
async def test_the_provider_is_not_reached_freely_by_other_paths(method: str, path: str, route: str):
    upstream = Upstream("http://127.0.0.1:1", api_key="k")
    with pytest.raises(UnmeteredRouteError):
        async with upstream.free(UpstreamRequest(method, path, b"", []), route=route):
            pass


async def test_a_ticket_opens_the_paid_path_only():
    class Ticket:
        call_id = uuid4()

    upstream = Upstream("http://127.0.0.1:1", api_key="k")
    with pytest.raises(UnmeteredRouteError):
        async with upstream.paid(UpstreamRequest("POST", "/v1/messages/batches", b"", []), ticket=Ticket()):
            pass


def test_only_the_upstream_room_and_the_services_adapter_open_connections():
    importing = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(name.name == "aiohttp" for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiohttp"))
    }
    assert importing == {"dataplane/upstream.py", "adapters/services.py"}


def test_request_headers_lose_credential_and_origin_and_keep_repeats():
    sent = [
        (b"Host", b"h"),
        (b"authorization", b"Bearer x"),
        (b"x-api-key", b"x"),
        (b"anthropic-beta", b"a"),
        (b"anthropic-beta", b"b"),
        (b"Connection", b"keep-alive, x-hop"),
        (b"x-hop", b"1"),
        (b"accept-encoding", b"gzip"),
        (b"x-forwarded-host", b"1"),
        (b"x-stainless-lang", b"python"),
    ]
    assert to_provider(sent) == [(b"anthropic-beta", b"a"), (b"anthropic-beta", b"b"), (b"x-stainless-lang", b"python")]


def test_answer_headers_lose_the_operators_limits():
    given = [
        (b"request-id", b"r"),
        (b"retry-after", b"1"),
        (b"anthropic-ratelimit-tokens-limit", b"1"),
        (b"anthropic-ratelimit-unified-status", b"x"),
        (b"anthropic-organization-id", b"o"),
        (b"Transfer-Encoding", b"chunked"),
        (b"set-cookie", b"c"),
    ]
    assert to_client(given) == [(b"request-id", b"r"), (b"retry-after", b"1")]


def test_services_see_no_identity_from_outside():
    assert to_service([(b"X-User-Id", b"1"), (b"x-faregate-a", b"1"), (b"cookie", b"c")]) == [(b"cookie", b"c")]


@pytest.mark.parametrize(
    ("amount_nano", "text"),
    [(0, "0"), (1, "0.000000001"), (5_000_000_000, "5"), (-1_500_000_000, "-1.5"), (10**16 + 1, "10000000.000000001")],
)
def test_credits_are_exact_decimals(amount_nano: int, text: str):
    """(money.md 2)."""
    assert credits_text(amount_nano) == text
