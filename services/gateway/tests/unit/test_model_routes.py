"""No route reaches the provider without admission, and headers pass by rule."""

import ast
from pathlib import Path

import pytest

import gateway
from gateway.dataplane.paid import PaidRoute
from gateway.dataplane.table import WITHOUT_PROVIDER, UndeclaredRouteError, in_envelope, model_routes
from gateway.dataplane.upstream import FREE, PAID
from gateway.errors import ModelApiError
from gateway.headers import to_client, to_provider, to_service
from gateway.surfaces.amount_text import credits_text
from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.estimates import Estimator

SOURCE = Path(gateway.__file__).parent
FREE_ROUTES = [*FREE, *WITHOUT_PROVIDER]


def handler(exchange: object) -> None:
    raise AssertionError


def paid_route(**changes) -> PaidRoute:
    surface = MessagesSurface(Estimator())
    for name, value in changes.items():
        setattr(surface, name, value)
    return PaidRoute(None, surface)  # type: ignore[arg-type]  # nothing is called


PAID_ROUTES = {route: paid_route() for route in PAID}


def test_the_whole_table_is_accepted():
    assert set(model_routes(PAID_ROUTES, dict.fromkeys(FREE_ROUTES, handler))) == {*PAID, *FREE_ROUTES}


def test_a_free_route_that_nobody_declared_cannot_be_registered():
    with pytest.raises(UndeclaredRouteError, match="complete"):
        model_routes(PAID_ROUTES, dict.fromkeys([*FREE_ROUTES, ("POST", "/v1/complete")], handler))


def test_a_paid_route_cannot_be_served_by_anything_without_admission():
    with pytest.raises(UndeclaredRouteError, match="admission"):
        model_routes(dict.fromkeys(PAID, handler), dict.fromkeys(FREE_ROUTES, handler))


def test_a_route_with_admission_cannot_go_to_a_path_that_nobody_declared():
    routes = {**PAID_ROUTES, ("POST", "/api/new"): paid_route(upstream_path="/v1/messages/batches")}
    with pytest.raises(UndeclaredRouteError, match="admission"):
        model_routes(routes, dict.fromkeys(FREE_ROUTES, handler))


def test_a_route_that_is_declared_cannot_be_left_out():
    some = dict(list(PAID_ROUTES.items())[:-1])
    with pytest.raises(UndeclaredRouteError, match="not served"):
        model_routes(some, dict.fromkeys(FREE_ROUTES, handler))
    with pytest.raises(UndeclaredRouteError, match="models"):
        model_routes(PAID_ROUTES, dict.fromkeys(FREE, handler))


def test_only_the_upstream_room_and_the_services_adapter_open_connections():
    opening = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(name.name in {"aiohttp", "httpx2"} for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiohttp"))
        or (isinstance(node, ast.Attribute) and node.attr in {"create_connection", "open_connection"})
    }
    assert opening <= {
        "dataplane/upstream_pool.py",
        "adapters/auth.py",
        "adapters/ledger.py",
        "adapters/services.py",
        "admission/connection.py",
        "admission/line.py",
        "process.py",
        "usage/kafka.py",
    }
    assert "dataplane/upstream_pool.py" in opening


@pytest.mark.parametrize(
    ("path", "envelope"),
    [("/v1/messages", "anthropic"), ("/v1/chat/completions", "openai"), ("/v1/responses", "openai-responses")],
)
def test_what_is_refused_early_is_refused_in_the_words_of_its_surface(path: str, envelope: str):
    assert in_envelope(path, ModelApiError(400, "no")).envelope == envelope


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
