"""Every described route of every service, asked by every role; and each id of a tenant, tried by another."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from tests.e2e.bodies import BODIES
from tests.e2e.conftest import Product
from tests.e2e.people import REASON, Person, member, operator, patiently, signed_in, team
from tests.e2e.roles import (
    ANYONE,
    CALLER,
    OPERATOR,
    OWN_TOKEN,
    ROLES,
    SERVER,
    SERVICES,
    SESSION,
    STEPPED_UP,
    TABLE,
    rule_of,
)
from tests.e2e.test_bad_input import SERVICES as DOCUMENTS
from tests.e2e.test_the_story import MODEL

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

# What is said of who asks; other words of 401 and 403 are about the request, as a wrong password is.
REFUSALS = {
    *("invalid_token", "missing_credential", "token_expired", "revoked", "wrong_bounce_token"),
    *("forbidden", "session_required", "role_forbids", "role_not_allowed", "role_may_not_buy", "other_account"),
    *("step_up_required", "impersonation_reads_only"),
}
# What lower roles are told in place of a refusal: the key may be somebody else's or nobody's.
HIDDEN = {"unknown_api_key"}
LAST = ("/auth/account/close", "/auth/me/deletion", "/auth/logout", "/api/auth/logout")
UUID_LIKE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Described:
    """A route as its service describes it."""

    service: str
    method: str
    path: str
    operation: Mapping[str, Any] = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.path

    @property
    def is_internal(self) -> bool:
        return self.path.startswith("/internal/")

    @property
    def takes_json(self) -> bool:
        schema = self.operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        return schema is not None and schema.get("type") != "array"

    @property
    def body(self) -> dict[str, Any] | None:
        if not self.takes_json:
            return None
        if self.is_internal:
            return {}
        return BODIES.get(f"{self.method} {self.path}") or BODIES[self.path]

    def filled(self, value: str | None = None) -> str:
        """With an id in place of each parameter: this one, or one that nobody has."""
        return re.sub(r"\{([^}]+)\}", lambda name: MODEL if "model" in name[0] else value or str(uuid4()), self.path)


@pytest.fixture(scope="module")
async def routes(product: Product) -> list[Described]:
    found = []
    async with httpx2.AsyncClient(base_url=product.url, trust_env=False) as http:
        for service in DOCUMENTS:
            paths = (await http.get(f"/{service}/openapi.json")).raise_for_status().json()["paths"]
            for path, operations in paths.items():
                found += [Described(service, verb.upper(), path, one) for verb, one in operations.items()]
    return found


@pytest.fixture(scope="module")
def listed(routes: list[Described]) -> list[Described]:
    """Those of which the table says something; whether that is all of them, one test says."""
    return [route for route in routes if route.is_internal or route.key in TABLE]


@pytest.fixture(scope="module")
async def owner(product: Product) -> Person:
    return await team(product)


async def asked(http: httpx2.AsyncClient, route: Described, *, token: str | None, **sent: Any) -> httpx2.Response:
    headers = {"idempotency-key": uuid4().hex, "anthropic-version": "2023-06-01"}
    headers |= {"authorization": f"Bearer {token}"} if token else {}
    params = {"expected_version": 7, "reason": "a test"} if "expected_version" in str(route.operation) else None
    path = sent.pop("path", None) or route.filled()
    body = sent.pop("body", route.body)
    async with http.stream(route.method, path, json=body, params=params, headers=headers) as answer:
        # Events go on for ever; that they have begun says enough.
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            await answer.aread()
        return answer


def problem_of(answer: httpx2.Response) -> dict[str, Any]:
    """What the answer says of its error; auth's pages answer with a page, which has no code."""
    is_json = answer.headers.get("content-type", "").split(";")[0].endswith("json")
    return dict(answer.json()) if is_json else {}


def is_refused(answer: httpx2.Response) -> bool:
    """For who asks, not for what is asked."""
    if answer.status_code not in (401, 403):
        return False
    told = problem_of(answer)
    # The vendors' envelopes: both hold `error`.
    return told.get("code") in REFUSALS or "error" in told


def test_every_route_stands_in_the_table(routes: list[Described]) -> None:
    described = {route.key for route in routes if not route.is_internal}

    assert described - set(TABLE) == set(), "add these to tests/e2e/roles.py, or to auth's own table"
    public = {route for route in TABLE if not route[1].startswith("/internal/")}
    assert public - described == set(), "these are no longer served"


def may(role: str, who: str) -> bool:
    """What the table says of a role: `none`, one of an account, or `operator` (who owns an account as well)."""
    if who == ANYONE or role == "none":
        return who == ANYONE
    if who == OWN_TOKEN:
        return False
    if role == "operator":
        return who != SERVER
    if who in ROLES:
        return ROLES.index(role) >= ROLES.index(who)
    return who in {CALLER, SESSION}


async def walk(listed: list[Described], person: Person | None, http: httpx2.AsyncClient) -> list[str]:
    """What differs from the table, a few asked at a time; what ends something comes last and alone."""
    public = [route for route in listed if not route.is_internal]
    at_once = asyncio.Semaphore(6)

    async def one(route: Described) -> str | None:
        async with at_once:
            return await differs(route, person, http)

    told = await asyncio.gather(*(one(route) for route in public if route.path not in LAST))
    for path in LAST:
        for route in public:
            if route.path == path:
                told.append(await differs(route, person, http))
    return [text for text in told if text]


async def differs(route: Described, person: Person | None, http: httpx2.AsyncClient) -> str | None:
    role, who, body = person.role if person else "none", rule_of(route.key), route.body
    if person and body and "password" in body and who in ROLES:
        body = {**body, "password": person.customer.password}
    if person and route.path in {"/auth/logout", "/api/auth/logout"}:
        await person.again()
    answer = await patiently(lambda: asked(http, route, token=person.token if person else None, body=body))
    hidden = answer.status_code == 404 and problem_of(answer).get("code") in HIDDEN
    if hidden or is_refused(answer) != may(role, who):
        return None
    return f"{role} {route.method} {route.path} ({who}): {answer.status_code} {answer.text[:200]}"


async def test_who_has_not_signed_in_may_what_is_open(product: Product, listed: list[Described]) -> None:
    async with httpx2.AsyncClient(base_url=product.url, trust_env=False, timeout=30) as http:
        assert await walk(listed, None, http) == []


@pytest.mark.parametrize("role", ["user", "developer", "admin"])
async def test_each_member_may_what_the_table_says(
    product: Product, listed: list[Described], owner: Person, role: str
) -> None:
    person = await member(product, owner, role)

    assert await walk(listed, person, person.http) == []


async def test_an_operator_may_what_the_table_says(product: Product, listed: list[Described]) -> None:
    person = await operator(product)
    plain = await product.operator_token()

    for route in listed:
        if rule_of(route.key) not in {OPERATOR, STEPPED_UP}:
            continue
        needs_proof = rule_of(route.key) == STEPPED_UP
        stale = await asked(person.http, route, token=plain)
        assert (stale.status_code == 403 and stale.json()["code"] == "step_up_required") == needs_proof, route
        fresh = await asked(person.http, route, token=person.token)
        assert not is_refused(fresh), (route, fresh.text)


async def test_services_alone_ask_what_is_internal(product: Product, listed: list[Described], owner: Person) -> None:
    internal = [route for route in listed if rule_of(route.key) == SERVICES]
    assert {route.service for route in internal} >= {"auth", "ledger", "gateway"}
    for route in internal:
        async with httpx2.AsyncClient(base_url=product.addresses.url(route.service), trust_env=False) as http:
            for token in (None, owner.token, await product.operator_token()):
                # The gateway's address is public: it does not tell that there is anything.
                status = 404 if route.service == "gateway" else 401
                assert (await asked(http, route, token=token)).status_code == status, route


@dataclass
class Tenant:
    """An account with one of everything."""

    person: Person
    ids: dict[str, str]

    async def state(self) -> list[Any]:
        paths = (
            *("/auth/members", "/auth/api-keys", "/auth/projects", "/auth/invitations", "/auth/shares"),
            *("/auth/service-accounts", "/auth/audit", "/ledger/transactions", "/v1/requests", "/ledger/levels"),
            "/billing/payments",
        )
        return [(await self.person.do("GET", path)) for path in paths]


@pytest.fixture(scope="module")
async def theirs(product: Product) -> Tenant:
    owner = await team(product)
    project = await owner.do("POST", "/auth/projects", name="Secret")
    key = await owner.do("POST", "/auth/api-keys", name="secret", mode="test", project_id=project["id"])
    invited = await owner.do("POST", "/auth/invitations", email=f"{uuid4().hex}@example.com", role="user")
    machine = await owner.do("POST", "/auth/service-accounts", name="Secret", role="user")
    other = await signed_in(product, "owner")
    with_project = (await other.do("GET", "/auth/projects"))["items"][0]["id"]
    path = f"/auth/projects/{project['id']}/shares"
    share = await owner.do("POST", path, with_project_id=with_project, access="use")
    me = await owner.do("GET", "/auth/me")
    ids = {
        "account": owner.account_id,
        "user": me["user"]["id"],
        "session": me["session_id"],
        "project": project["id"],
        "key": key["id"],
        "invitation": invited["id"],
        "machine": machine["id"],
        "share": share["id"],
    }
    return Tenant(owner, ids)


def bodies_with(route: Described, value: str) -> Iterator[dict[str, Any] | None]:
    """The route's body with this id in the place of each id in turn, or as it is when it holds none."""
    body = route.body
    places = [name for name, old in (body or {}).items() if isinstance(old, str) and UUID_LIKE.fullmatch(old)]
    if body is None or not places:
        yield body
    for name in places:
        yield {**(body or {}), name: value}


def queries_with(route: Described, value: str) -> Iterator[str]:
    for parameter in route.operation.get("parameters", []):
        if parameter["in"] == "query" and "uuid" in json.dumps(parameter["schema"]):
            yield f"?{parameter['name']}={value}"


async def test_no_id_of_a_tenant_does_anything_for_another(
    product: Product, listed: list[Described], theirs: Tenant
) -> None:
    mine = await team(product)
    before, tried = await theirs.state(), 0
    for route in listed:
        if rule_of(route.key) in {SERVICES, ANYONE, OWN_TOKEN} or route.path in LAST:
            continue
        for value in theirs.ids.values():
            wanted = [(route.filled(value), body) for body in bodies_with(route, value)]
            wanted += [(route.filled(value) + query, route.body) for query in queries_with(route, value)]
            for path, body in wanted:
                if value not in path and value not in json.dumps(body):
                    continue
                answer = await asked(mine.http, route, token=mine.token, path=path, body=body)
                tried += 1
                told = f"{route.method} {path} {body}: {answer.status_code} {answer.text[:300]}"
                assert answer.status_code < 500, told
                # A refusal may repeat what was asked for; whatever is said beyond that would be theirs.
                own = {value} if answer.status_code >= 400 else set()
                assert not any(one in answer.text for one in theirs.ids.values() if one not in own), told

    assert tried > 200
    assert await theirs.state() == before


async def test_whoever_looks_as_somebody_else_writes_nothing(
    product: Product, listed: list[Described], owner: Person
) -> None:
    person = await operator(product)
    user_id = (await owner.do("GET", "/auth/me"))["user"]["id"]
    path = f"/auth/operator/users/{user_id}/impersonate"
    look = (await person.do("POST", path, account_id=owner.account_id, **REASON))["access_token"]
    headers = {"authorization": f"Bearer {look}"}
    refused = 0

    for route in listed:
        if route.method == "GET" or rule_of(route.key) in {ANYONE, SERVICES, OWN_TOKEN}:
            continue
        answer = await asked(owner.http, route, token=look)
        assert answer.status_code == 403, (route, answer.text)
        refused += 1

    assert refused > 80
    for readable in ("/auth/me", "/me", "/ledger/balance", "/v1/requests", "/v1/models", "/billing/payments"):
        assert (await owner.http.get(readable, headers=headers)).status_code == 200, readable


# The last of the module: it closes the team.
async def test_an_owner_may_what_the_table_says(listed: list[Described], owner: Person) -> None:
    assert await walk(listed, owner, owner.http) == []
