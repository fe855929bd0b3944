"""What the stand-in accepts and answers, held against Stripe's published description by stripe-mock."""

from urllib.parse import quote_plus

import httpx2
import pytest
import stripe

from sandbox.stripe.judge import JudgeMissingError, running_judge
from sandbox.stripe.life import lived
from sandbox.stripe.parameters import (
    Choice,
    Currency,
    Email,
    Fields,
    Flag,
    Integer,
    ListOf,
    Metadata,
    NotDone,
    Number,
    Only,
    Span,
    Text,
    Url,
    Word,
)
from sandbox.stripe.routes import ROUTES as ALL_ROUTES

pytest_plugins = ["sandbox.fixtures_stripe"]
pytestmark = [pytest.mark.judge, pytest.mark.timeout(600)]

ROUTES = [route for route in ALL_ROUTES if route.path.startswith("/v1/")]
"""stripe-mock describes no v2: thin events are held against the SDK's own types in `test_stripe_meters`."""

SAMPLES = {
    Text: lambda _: ["x"],
    Url: lambda _: ["https://shop.example/{CHECKOUT_SESSION_ID}"],
    Email: lambda _: ["a@b.example"],
    Integer: lambda kind: [str(max(kind.minimum, 1))],
    Flag: lambda _: ["true", "false"],
    Choice: lambda kind: list(kind.words),
    Currency: lambda _: ["usd"],
    Number: lambda _: ["0.002"],
    Word: lambda kind: [*kind.words, *samples(kind.kind)],
    Metadata: lambda _: [{"key": "value"}],
    Span: lambda _: ["1", {"gte": "1"}, {"gt": "1", "lt": "2", "lte": "3"}],
    ListOf: lambda kind: [{"0": sample} for sample in samples(kind.item)],
    Only: lambda kind: [str(value).lower() for value in kind.values],
    NotDone: lambda _: [],
    Fields: lambda kind: [{**required(kind), **one} for one in singles(kind)] or [required(kind)],
}


def samples(kind):
    return SAMPLES[type(kind)](kind)


def required(fields):
    return {name: samples(fields.kinds[name])[0] for name in fields.required}


def singles(fields):
    return [{name: sample} for name, kind in fields.kinds.items() if name != "expand" for sample in samples(kind)]


def encoded(tree, prefix=""):
    pairs = []
    for key, value in tree.items():
        name = f"{prefix}[{key}]" if prefix else key
        pairs.append(encoded(value, name) if isinstance(value, dict) else f"{name}={quote_plus(value)}")
    return "&".join(pairs)


@pytest.fixture(scope="module")
def judge():
    try:
        with running_judge() as found:
            yield found
    except JudgeMissingError as reason:
        pytest.skip(str(reason))


def test_the_judge_can_refuse(judge):
    assert "additional properties" in judge.verdict("POST", "/v1/customers", form="nickname=x")
    assert judge.verdict("POST", "/v1/products", form="description=x") is not None
    assert judge.verdict("GET", "/v1/gold") is not None


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_parameter_that_a_route_accepts_is_stripes(judge, route):
    path = route.path.replace("{id}", "x_1")
    refused = {}
    for params in [required(route.fields), *samples(route.fields)]:
        form = encoded(params)
        place = {"form": form} if route.method == "POST" else {"query": form}
        if reason := judge.verdict(route.method, path, **place):
            refused[form] = reason

    assert refused == {}


def test_every_parameter_that_we_answer_with_501_is_stripes(judge):
    strangers = [
        f"{route.method} {route.path} {name}"
        for route in ROUTES
        for name in sorted(_not_done_names(route.fields) - _described_names(judge, route))
    ]

    assert strangers == []


def _not_done_names(fields):
    return {name for name, kind in fields.kinds.items() if isinstance(kind, NotDone)}


def _operation(judge, route):
    templates = judge.description["paths"]
    shape = route.path.replace("{id}", "{}")
    path = next(path for path in templates if _shape(path) == shape)
    return templates[path][route.method.lower()]


def _shape(path):
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _described_names(judge, route):
    operation = _operation(judge, route)
    form = operation.get("requestBody", {}).get("content", {}).get("application/x-www-form-urlencoded", {})
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    return names | set(form.get("schema", {}).get("properties", {}))


@pytest.fixture
async def story(stripe_client, stripe_server):
    await lived(stripe_client.v1, stripe_server)
    return stripe_server


def test_every_request_of_the_sdk_that_we_accept_is_accepted_by_the_judge(judge, story):
    asked = [seen for seen in story.requests() if seen["status"] == 200]

    refused = {
        f"{seen['method']} {seen['path']} {seen['body']}{seen['query']}": reason
        for seen in asked
        if (reason := judge.verdict(seen["method"], seen["path"], form=seen["body"], query=seen["query"]))
    }

    assert refused == {}
    untouched = [
        f"{route.method} {route.path}"
        for route in ROUTES
        if not any(route.matched_id(seen["method"], seen["path"]) is not None for seen in asked)
    ]
    assert untouched == []


def test_every_object_in_every_state_has_stripes_shape(judge, story):
    jsonschema = pytest.importorskip("jsonschema_rs")
    components = _plain_schema(judge.description["components"])
    problems, unseen = {}, []
    for route in ROUTES:
        if route.method != "GET" or "{id}" in route.path or route.fields.required:
            continue
        asks_all = route.path in {"/v1/subscriptions", "/v1/tax/registrations"}
        query = ({"limit": 100} if "limit" in route.fields.kinds else {}) | ({"status": "all"} if asks_all else {})
        page = httpx2.get(story.base_url + route.path, params=query, auth=(story.secret_key, "")).json()
        answer = _operation(judge, route)["responses"]["200"]["content"]["application/json"]["schema"]
        is_list = page["object"] == "list"
        item = _plain_schema(answer["properties"]["data"]["items"] if is_list else answer)
        validator = jsonschema.validator_for({**item, "components": components})
        bodies = page["data"] if is_list else [page]
        unseen += [] if bodies else [route.path]
        for body in bodies:
            errors = [f"{list(error.instance_path)}: {error.message[:300]}" for error in validator.iter_errors(body)]
            problems |= {body.get("id", route.path): errors} if errors else {}

    assert problems == {}
    assert unseen == []


async def test_every_field_of_every_object_is_known_to_the_sdk(stripe_client, story):
    v1 = stripe_client.v1
    kinds = (v1.customers, v1.products, v1.prices, v1.checkout.sessions, v1.payment_intents, v1.charges, v1.invoices)
    kinds += (v1.balance_transactions, v1.invoice_payments, v1.refunds, v1.disputes, v1.events, v1.payment_methods)
    kinds += (v1.setup_intents, v1.tax_ids, v1.invoice_items, v1.credit_notes, v1.billing.meters)
    kinds += (v1.billing_portal.configurations, v1.test_helpers.test_clocks, v1.tax.registrations)
    pages = [await kind.list_async({"limit": 100}) for kind in kinds]
    pages.append(await v1.subscriptions.list_async({"status": "all"}))

    settings = await v1.tax.settings.retrieve_async()

    unknown = {name for page in pages for body in page.data for name in strangers(body)} | set(strangers(settings))

    assert unknown == set()


def strangers(body):
    """Fields that the SDK's own types do not have, at any depth; what it leaves untyped is skipped."""
    known = {"object"} | {name for owner in type(body).__mro__ for name in vars(owner).get("__annotations__", {})}
    if type(body) is stripe.StripeObject or "UntypedStripeObject" in type(body).__name__:
        return
    for name in body.to_dict(recursive=False):
        if name not in known:
            yield f"{type(body).__qualname__}.{name}"
        below = body[name]
        for one in below if isinstance(below, list) else [below]:
            if isinstance(one, stripe.StripeObject):
                yield from strangers(one)


def _plain_schema(node):
    """OpenAPI 3.0 as JSON Schema: a nullable thing is that thing or null."""
    if isinstance(node, list):
        return [_plain_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _plain_schema(value) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True else plain
