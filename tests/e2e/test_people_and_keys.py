"""What auth knows, as others act on it: bounds of keys at the gateway, mails in the mailbox, people shut out."""

import re
from typing import Any

import httpx2
import pytest
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import MODEL, QUESTION, signed_up

from sandbox.demo.customer import Customer, until

pytestmark = pytest.mark.stack


async def _key(customer: Customer, **bounds: object) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {customer.token}"}
    answer = await customer.http.post("/auth/api-keys", json={"name": "x", "mode": "test", **bounds}, headers=headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def _call(customer: Customer, key: str, *, model: str = MODEL, path: str = "/v1/messages") -> httpx2.Response:
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    return await customer.http.post(
        path, json={"model": model, "max_tokens": 50, "messages": QUESTION}, headers=headers
    )


async def test_a_key_is_used_within_its_bounds_only(product: Product) -> None:
    customer = await signed_up(product)
    here = await _key(customer, allowed_networks=["127.0.0.0/8"], scopes=[f"model:{MODEL}"])
    elsewhere = await _key(customer, allowed_networks=["192.0.2.0/24"])

    good = await _call(customer, here["key"])
    other_model = await _call(customer, here["key"], model="claude-opus-5-5")
    other_place = await _call(customer, elsewhere["key"])

    assert good.status_code == 200, good.text
    assert other_model.status_code == 403
    assert other_place.status_code == 403


async def test_a_budget_of_a_key_is_kept_by_admission(product: Product) -> None:
    customer = await signed_up(product)
    made = await _key(customer, budgets=[{"window": "day", "limit": "0.000001"}])

    async def refused() -> bool:
        return (await _call(customer, made["key"])).status_code == 429

    await until("the budget's refusal", refused)
    assert (await _call(customer, customer.api_key)).status_code == 200
    headers = {"authorization": f"Bearer {customer.token}"}
    path = f"/auth/api-keys/{made['id']}"
    raised = await customer.http.patch(path, json={"budgets": []}, headers=headers)
    assert raised.status_code == 200

    async def served() -> bool:
        return (await _call(customer, made["key"])).status_code == 200

    await until("the call after the budget was lifted", served)


async def test_a_leaked_key_is_refused_and_its_owner_told_by_mail(product: Product) -> None:
    customer = await signed_up(product)
    assert (await _call(customer, customer.api_key)).status_code == 200

    answer = await customer.http.post("/auth/leaks", json=[{"token": customer.api_key}])

    assert answer.json()[0]["label"] == "true_positive"

    async def refused() -> bool:
        return (await _call(customer, customer.api_key)).status_code == 401

    async def told() -> bool:
        return any(one["subject"] == "An API key was found in public" for one in await customer.mails())

    await until("the refusal of the leaked key", refused, timeout_s=5)
    await until("the mail about the leaked key", told)


async def test_a_forgotten_password_is_reset_by_the_link_in_the_mail(product: Product) -> None:
    customer = await signed_up(product)
    await customer.http.post("/auth/password/forgot", json={"email": customer.email})

    async def link() -> str | None:
        for mail in await customer.mails():
            if mail["subject"] == "Reset your password":
                url = f"{customer.mailbox_url}/api/messages/{mail['id']}"
                text = (await customer.http.get(url)).json()["text"]
                found = re.search(r"/auth/pages/reset\?token=(\S+)", text)
                return found.group(1) if found else None
        return None

    await until("the mail with the link", link)
    token = await link()
    page = await customer.http.get("/auth/pages/reset", params={"token": token or ""})
    done = await customer.http.post("/auth/pages/reset", data={"token": token, "password": "a new long password"})

    assert page.status_code == 200
    assert done.status_code == 200, done.text
    body = {"email": customer.email, "password": "a new long password"}
    assert (await customer.http.post("/auth/login", json=body)).status_code == 200


async def test_a_team_has_the_default_plan_and_no_trial(product: Product) -> None:
    customer = await signed_up(product)

    async def verified() -> str | None:
        for mail in await customer.mails():
            if mail["subject"] == "Confirm your address":
                text = (await customer.http.get(f"{customer.mailbox_url}/api/messages/{mail['id']}")).json()["text"]
                found = re.search(r"/auth/pages/verify\?token=(\S+)", text)
                return found.group(1) if found else None
        return None

    await until("the mail with the link", verified)
    await customer.http.post("/auth/pages/verify", data={"token": await verified()})
    headers = {"authorization": f"Bearer {customer.token}"}
    team = (await customer.http.post("/auth/accounts", json={"name": "Poets"}, headers=headers)).json()
    switched = await customer.http.post("/auth/switch", json={"account_id": team["id"]}, headers=headers)
    customer.token = switched.json()["access_token"]

    async def known() -> bool:
        answer = await customer.http.get("/ledger/balance", headers={"authorization": f"Bearer {customer.token}"})
        return answer.status_code == 200

    await until("the team's page in the ledger", known)
    assert await customer.balance() == 0
