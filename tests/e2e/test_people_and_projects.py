"""Shares, machines, operators' looks and the first screen, as the services act on them together."""

from decimal import Decimal
from typing import Any

import httpx2
import pytest
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import MODEL, QUESTION, signed_up

from sandbox.demo.customer import Customer, StoryError, until

pytestmark = pytest.mark.stack


async def asked(
    customer: Customer, method: str, path: str, *, token: str | None = None, **body: Any
) -> httpx2.Response:
    headers = {"authorization": f"Bearer {token or customer.token}"}
    return await customer.http.request(method, path, json=body or None, headers=headers)


async def done(customer: Customer, method: str, path: str, **body: Any) -> dict[str, Any]:
    answer = await asked(customer, method, path, **body)
    assert answer.is_success, answer.text
    return dict(answer.json())


async def called(customer: Customer, key: str) -> httpx2.Response:
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    body = {"model": MODEL, "max_tokens": 50, "messages": QUESTION}
    return await customer.http.post("/v1/messages", json=body, headers=headers)


async def refused(customer: Customer, key: str) -> bool:
    return (await called(customer, key)).status_code == 401


async def default_project(customer: Customer) -> str:
    return str((await done(customer, "GET", "/auth/projects"))["items"][0]["id"])


async def test_a_shared_project_is_used_at_its_owners_cost_and_seen_by_the_other(product: Product) -> None:
    giver, guest = await signed_up(product), await signed_up(product)
    project = await done(giver, "POST", "/auth/projects", name="Ode")
    with_project = await default_project(guest)
    path = f"/auth/projects/{project['id']}/shares"
    share = await done(giver, "POST", path, with_project_id=with_project, access="use")
    key = await done(guest, "POST", "/auth/api-keys", name="theirs", mode="test", share_id=share["id"])

    answer = await called(guest, key["key"])
    assert answer.status_code == 200, answer.text

    async def paid() -> bool:
        return await giver.balance() < 5

    async def seen() -> bool:
        try:
            rows = (await guest.get("/ledger/usage", shared_project_id=project["id"]))["items"]
        except StoryError:
            return False
        return [row["calls"] for row in rows] == [1]

    await until("the giver's charge", paid)
    await until("the shared project's usage", seen)
    assert await guest.balance() == Decimal(5)
    usage = (await giver.get("/ledger/usage", group_by="project"))["items"]
    assert [(row["project_id"], row["calls"]) for row in usage] == [(project["id"], 1)]

    await done(giver, "DELETE", f"/auth/shares/{share['id']}")
    await until("the refusal of the share's key", lambda: refused(guest, key["key"]), timeout_s=5)
    ended = await asked(guest, "GET", f"/ledger/usage?shared_project_id={project['id']}")
    assert ended.status_code in {200, 404}


async def test_a_machine_calls_until_it_is_disabled(product: Product) -> None:
    customer = await signed_up(product)
    machine = await done(customer, "POST", "/auth/service-accounts", name="nightly", role="user")
    wanted = {"name": "nightly", "mode": "test", "service_account_id": machine["id"]}
    key = await done(customer, "POST", "/auth/api-keys", **wanted)
    assert (await called(customer, key["key"])).status_code == 200

    await done(customer, "PATCH", f"/auth/service-accounts/{machine['id']}", state="disabled")

    await until("the refusal of the machine's key", lambda: refused(customer, key["key"]), timeout_s=5)
    assert (await called(customer, customer.api_key)).status_code == 200


async def test_the_first_screen_is_one_call(product: Product) -> None:
    customer = await signed_up(product)
    await called(customer, customer.api_key)

    async def counted() -> bool:
        return ((await customer.get("/me"))["usage"] or {}).get("requests") == 1

    await until("the call on the screen", counted)
    screen = await customer.get("/me")
    same = await customer.get("/api/auth/me")
    by_key = await customer.http.get("/me", headers={"x-api-key": customer.api_key})

    assert screen["missing"] == []
    assert Decimal(screen["balance"]) == await customer.balance()
    assert (screen["onboarding"], screen["role"], screen["user"]["id"]) == ("trial", "owner", same["user"]["id"])
    assert screen["accounts"][0]["id"] == screen["account_id"]
    assert (by_key.json()["user"]["email"], by_key.json()["balance"]) == (None, screen["balance"])
    assert (await customer.http.get("/me")).status_code == 401


async def test_older_clients_sign_up_and_in_on_their_own_paths(product: Product) -> None:
    customer = product.customer()
    for signing_up, signing_in in (("/register", "/auth/login"), ("/api/auth/signup", "/api/auth/login")):
        body = {
            "email": f"{signing_up.strip('/').replace('/', '-')}-{id(customer)}@example.com",
            "password": "a long one",
        }
        registered = await customer.http.post(signing_up, json=body)
        tokens = (await customer.http.post(signing_in, json=body)).json()
        headers = {"authorization": f"Bearer {tokens['access_token']}"}
        me = await customer.http.get("/api/auth/me", headers=headers)
        out = await customer.http.post("/api/auth/logout", headers=headers)
        after = await customer.http.get("/auth/me", headers=headers)

        assert (registered.status_code, me.status_code, out.status_code, after.status_code) == (201, 200, 200, 401)
        assert me.json()["user"]["email"] == body["email"]
    wrong = await customer.http.post("/api/auth/login", json={**body, "password": "another one"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong_credentials")
    assert (await customer.http.post("/api/auth/nothing", json={})).status_code == 404
