"""Everything that is not the model API: the front page, and the services behind it."""

import contextlib
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from sandbox.outside import serving as serving_outside


class Echo:
    """A service that tells what it was sent."""

    def __init__(self) -> None:
        self.requests: list[dict[str, object]] = []

    async def __call__(self, scope, receive, send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        target = scope["raw_path"].decode() + "?" + scope["query_string"].decode()
        self.requests.append({"method": scope["method"], "target": target, "headers": headers, "body": body})
        status = 302 if scope["path"].endswith("/moved") else 200
        answered = [(b"content-type", b"application/json"), (b"connection", b"close"), (b"request-id", b"req_service")]
        if status == 302:
            answered.append((b"location", b"http://elsewhere.test/"))
        await send({"type": "http.response.start", "status": status, "headers": answered})
        await send({"type": "http.response.body", "body": b'{"echo":true}'})


@pytest_asyncio.fixture(loop_scope="session")
async def echo(gateway) -> AsyncIterator[Echo]:
    echo = Echo()
    async with contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving_outside(echo, host="127.0.0.1", port=0))
        routes = gateway.forwarding
        saved = dict(routes)
        routes.update(dict.fromkeys(saved, address))
        yield echo
        routes.update(saved)


async def ask(gateway, method: str, path: str, **given) -> httpx2.Response:
    async with httpx2.AsyncClient() as http:
        return await http.request(method, gateway.base_url + path, **given)


@pytest.mark.parametrize(
    "path", ["/auth/login?a=1&b=%2F", "/billing/offers", "/ledger/balance", "/notifications", "/v1/requests?limit=2"]
)
async def test_requests_are_handed_on_as_they_came(gateway, echo, path: str):
    answer = await ask(gateway, "GET", path)

    assert answer.json() == {"echo": True}
    assert str(echo.requests[-1]["target"]).removesuffix("?") == path


@pytest.mark.parametrize("name", ["oauth-authorization-server", "openid-configuration"])
async def test_where_the_authorization_server_is_can_be_asked_here(gateway, echo, name: str):
    assert (await ask(gateway, "GET", f"/.well-known/{name}")).json() == {"echo": True}
    assert (await ask(gateway, "GET", "/.well-known/anything-else")).status_code == 404


async def test_cookies_reach_the_sign_in_and_no_other_service(gateway, echo):
    cookie = {"cookie": "__Host-fg_access=x"}

    await ask(gateway, "GET", "/auth/pages/sessions", headers=cookie)
    await ask(gateway, "POST", "/billing/checkout", headers=cookie)
    await ask(gateway, "GET", "/ledger/balance", headers=cookie)

    signed_in, *others = echo.requests[-3:]
    assert ("cookie", "__Host-fg_access=x") in signed_in["headers"]
    assert all(name != "cookie" for one in others for name, _ in one["headers"])


async def test_a_webhooks_bytes_are_untouched(gateway, echo):
    raw = b'{ "id": "evt_1",\n"x":\t1.0 }'

    await ask(gateway, "POST", "/billing/webhooks/stripe", content=raw, headers={"stripe-signature": "t=1,v1=ab"})

    assert echo.requests[-1]["body"] == raw
    assert ("stripe-signature", "t=1,v1=ab") in echo.requests[-1]["headers"]


async def test_nobody_outside_says_who_a_caller_is(gateway, echo):
    spoofed = {"x-user-id": "1", "x-account": "2", "x-forwarded-for": "9.9.9.9", "x-faregate-role": "operator"}

    await ask(gateway, "GET", "/ledger/balance", headers=spoofed)

    names = dict(echo.requests[-1]["headers"])
    assert names["x-forwarded-for"] == "127.0.0.1"
    assert not {"x-user-id", "x-account", "x-faregate-role"} & set(names)


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_an_api_key_is_exchanged_for_its_token(gateway, echo, header: str):
    account = gateway.account()
    value = f"Bearer {account.api_key}" if header == "authorization" else account.api_key

    await ask(gateway, "GET", "/v1/requests", headers={header: value})

    sent = dict(echo.requests[-1]["headers"])
    assert sent["authorization"] == f"Bearer {gateway.resolver.tokens[account.api_key]}"
    assert account.api_key not in json.dumps(echo.requests[-1]["headers"])


@pytest.mark.parametrize(
    "path",
    [
        "/internal/service-tokens",
        "/auth/../internal/service-tokens",
        "/auth/%2e%2e/internal/service-tokens",
        "/ledger/..%2finternal/accounts",
        "/ledger//internal",
        "/nowhere",
    ],
)
async def test_internal_routes_and_their_disguises_are_not_found(gateway, echo, path: str):
    before = len(echo.requests)
    async with httpx2.AsyncClient() as http:
        request = http.build_request("GET", gateway.base_url)
        request.url = request.url.copy_with(raw_path=path.encode())
        answer = await http.send(request)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(echo.requests) == before


async def test_redirects_are_passed_not_followed(gateway, echo):
    answer = await ask(gateway, "GET", "/billing/moved")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://elsewhere.test/")


async def test_an_answer_keeps_one_request_id(gateway, echo):
    answer = await ask(gateway, "GET", "/ledger/balance")
    assert answer.headers.get_list("request-id") == ["req_service"]


async def test_a_large_body_is_refused(gateway, echo):
    answer = await ask(gateway, "POST", "/auth/register", content=b"x" * (2 << 20) + b"x")
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"


async def test_a_service_that_is_away_is_503(gateway):
    answer = await ask(gateway, "GET", "/ledger/balance")
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert answer.headers["retry-after"]


async def test_the_front_page_says_what_is_sandboxed(gateway):
    page = await ask(gateway, "GET", "/", headers={"accept": "text/html"})
    facts = (await ask(gateway, "GET", "/")).json()

    assert page.headers["content-type"].startswith("text/html")
    assert "stand-in" in page.text
    assert set(facts["sandboxed"]) == {"models", "payments", "mail"}
    assert facts["documents"]["model API"].endswith("/gateway/docs")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_model_path_is_404_in_the_providers_envelope(gateway, method: str):
    answer = await ask(gateway, method, "/v1/nowhere")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"


async def test_a_wrong_method_on_requests_is_405(gateway):
    answer = await ask(gateway, "POST", "/v1/requests")
    assert answer.status_code == 405


async def test_the_model_api_is_documented(gateway):
    paths = (await ask(gateway, "GET", "/gateway/openapi.json")).json()["paths"]
    assert {"/v1/messages", "/v1/messages/count_tokens", "/v1/models", "/"} <= set(paths)


async def test_health_and_metrics_answer(gateway):
    for path in ("/health/live", "/health/ready", "/metrics"):
        assert (await ask(gateway, "GET", path)).status_code == 200
