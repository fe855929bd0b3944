"""The stand-in's manners, as the official SDK and a plain HTTP client meet them."""

import base64

import httpx2
import pytest
import stripe

from kit.clock import ManualClock
from sandbox.fixtures_stripe import running_stripe_server
from sandbox.stripe import API_VERSION

pytest_plugins = ["sandbox.fixtures_stripe"]


def post(server, path, form="", **headers):
    headers = {"Authorization": f"Bearer {server.secret_key}", "Content-Type": "application/x-www-form-urlencoded"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return httpx2.post(server.base_url + path, content=form, headers=headers)


def get(server, path, **headers):
    return httpx2.get(server.base_url + path, headers={"Authorization": f"Bearer {server.secret_key}"} | headers)


async def test_the_sdk_speaks_the_version_that_the_stand_in_does(stripe_client, stripe_server):
    await stripe_client.v1.customers.create_async({"email": "buyer@example.com"})

    assert get(stripe_server, "/v1/customers").headers["stripe-version"] == API_VERSION


async def test_a_wrong_key_is_401(stripe_server):
    http = stripe.HTTPXClient()
    client = stripe.StripeClient("sk_test_wrong", http_client=http, base_addresses={"api": stripe_server.base_url})

    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key"):
        await client.v1.customers.list_async()
    await http.close_async()


def test_basic_auth_is_as_good_as_a_bearer_token(stripe_server):
    basic = base64.b64encode(f"{stripe_server.secret_key}:".encode()).decode()

    assert httpx2.get(f"{stripe_server.base_url}/v1/customers", auth=(stripe_server.secret_key, "")).status_code == 200
    assert get(stripe_server, "/v1/customers", Authorization=f"Basic {basic}").status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Basic !!!", "Digest x", "Bearer sk_live_x"])
def test_without_the_right_key_nothing_is_shown(stripe_server, header):
    answer = get(stripe_server, "/v1/customers", Authorization=header)

    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.headers["request-id"].startswith("req_")


def test_another_api_version_is_not_guessed_at(stripe_server):
    assert get(stripe_server, "/v1/customers", **{"Stripe-Version": "2024-06-20"}).status_code == 501
    assert get(stripe_server, "/v1/customers", **{"Stripe-Version": "latest"}).status_code == 400


async def test_an_unknown_parameter_is_refused_by_name(stripe_client):
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await stripe_client.v1.customers.create_async({"nickname": "x"})

    assert (refusal.value.code, refusal.value.param) == ("parameter_unknown", "nickname")


async def test_a_missing_parameter_is_named(stripe_client):
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await stripe_client.v1.products.create_async({"description": "x"})

    assert (refusal.value.code, refusal.value.param) == ("parameter_missing", "name")


async def test_an_object_that_is_not_there_is_404(stripe_client):
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await stripe_client.v1.customers.retrieve_async("cus_nobody")

    assert (refusal.value.http_status, refusal.value.code) == (404, "resource_missing")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/payment_intents/pi_x/capture"),
        ("GET", "/v1/payment_intents/search?query=x"),
        ("POST", "/v1/subscription_schedules"),
        ("POST", "/v1/billing/credit_grants"),
        ("GET", "/v1/customers/search?query=x"),
        ("DELETE", "/v1/customers/cus_x"),
        ("POST", "/v2/billing/meter_event_session"),
    ],
)
def test_what_it_does_not_do_is_501_and_not_worth_a_retry(stripe_server, method, path):
    headers = {"Authorization": f"Bearer {stripe_server.secret_key}"}

    answer = httpx2.request(method, stripe_server.base_url + path, headers=headers)

    assert answer.status_code == 501
    assert path.partition("?")[0] in answer.json()["error"]["message"]
    assert answer.headers["stripe-should-retry"] == "false"


async def test_a_feature_that_it_does_not_do_is_501(stripe_client):
    with pytest.raises(stripe.APIError) as refusal:
        await stripe_client.v1.customers.create_async({"tax_exempt": "exempt"})

    assert refusal.value.http_status == 501
    assert "tax_exempt" in str(refusal.value)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"email": "a@b.example"}', "application/json"),
        (b"email=%ff", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"a" * 1_000_001, "application/x-www-form-urlencoded"),
        (b"email[", "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_that_is_not_a_form_is_refused(stripe_server, body, content_type):
    answer = post(stripe_server, "/v1/customers", body, Content_Type=content_type)

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_the_same_key_and_request_get_the_same_answer(stripe_client, stripe_server):
    options = {"idempotency_key": "customer-1"}

    first = await stripe_client.v1.customers.create_async({"email": "a@b.example"}, options)
    again = await stripe_client.v1.customers.create_async({"email": "a@b.example"}, options)

    assert first.id == again.id
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert again.last_response.headers["original-request"] == first.last_response.headers["request-id"]
    assert len((await stripe_client.v1.customers.list_async()).data) == 1
    assert [seen["replayed"] for seen in stripe_server.requests()] == [False, True, False]


async def test_the_same_key_with_other_parameters_is_refused(stripe_client):
    options = {"idempotency_key": "customer-1"}
    await stripe_client.v1.customers.create_async({"email": "a@b.example"}, options)

    with pytest.raises(stripe.IdempotencyError) as refusal:
        await stripe_client.v1.customers.create_async({"email": "c@d.example"}, options)
    assert refusal.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        await stripe_client.v1.products.create_async({"name": "a"}, options)


async def test_a_refusal_by_the_endpoint_is_remembered_and_one_of_the_form_is_not(stripe_client):
    options = {"idempotency_key": "refund-1"}
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await stripe_client.v1.refunds.create_async({"charge": "ch_nobody"}, options)
    assert refusal.value.headers["idempotent-replayed"] == "true"

    options = {"idempotency_key": "customer-1"}
    with pytest.raises(stripe.InvalidRequestError):
        await stripe_client.v1.customers.create_async({"nickname": "x"}, options)
    assert (await stripe_client.v1.customers.create_async({"name": "x"}, options)).name == "x"


async def test_a_refused_request_leaves_nothing_behind(stripe_client):
    items = [{"price_data": {"currency": "usd", "unit_amount": 1, "product_data": {"name": "x"}}, "quantity": 1}]

    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await stripe_client.v1.checkout.sessions.create_async(
            {"mode": "payment", "success_url": "https://shop.example", "line_items": items}
        )

    assert refusal.value.code == "amount_too_small"
    assert (await stripe_client.v1.products.list_async()).data == []
    assert (await stripe_client.v1.events.list_async()).data == []


def test_a_key_is_forgotten_after_a_day():
    clock = ManualClock()
    with running_stripe_server(clock=clock) as server:
        first = post(server, "/v1/customers", "name=a", Idempotency_Key="k").json()["id"]
        clock.advance(24 * 3600 + 1)
        second = post(server, "/v1/customers", "name=a", Idempotency_Key="k").json()["id"]

    assert first != second


async def test_pages_go_both_ways_from_a_cursor(stripe_client):
    made = [(await stripe_client.v1.products.create_async({"name": str(number)})).id for number in range(5)]
    newest_first = made[::-1]

    first = await stripe_client.v1.products.list_async({"limit": 2})
    after = await stripe_client.v1.products.list_async({"limit": 2, "starting_after": first.data[-1].id})
    before = await stripe_client.v1.products.list_async({"limit": 2, "ending_before": newest_first[4]})

    assert [[product.id for product in page.data] for page in (first, after, before)] == [
        newest_first[0:2],
        newest_first[2:4],
        newest_first[2:4],
    ]
    assert (first.has_more, after.has_more, before.has_more) == (True, True, True)
    assert [product.id async for product in first.auto_paging_iter()] == newest_first


async def test_a_cursor_that_is_not_there_is_refused(stripe_client):
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await stripe_client.v1.events.list_async({"starting_after": "evt_nobody"})

    assert (refusal.value.http_status, refusal.value.code) == (400, "resource_missing")


async def test_expanding_too_deep_or_what_is_no_reference_is_refused(stripe_client):
    customer = await stripe_client.v1.customers.create_async({"name": "x"})

    for path in ("name", "nothing", "created", "a.b.c.d.e"):
        with pytest.raises(stripe.InvalidRequestError):
            await stripe_client.v1.customers.retrieve_async(customer.id, {"expand": [path]})


def test_the_server_says_that_it_lives(stripe_server):
    assert httpx2.get(f"{stripe_server.base_url}/health/live").json() == {"status": "live", "problems": []}
