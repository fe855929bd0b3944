"""Those that hear from auth were away for a day of its news: what counts afterwards is how things stand."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from tests.e2e.test_the_story import MODEL, QUESTION

from sandbox.addresses import PORT_COUNT, Addresses
from sandbox.demo.customer import Customer, StoryError, until
from sandbox.faregate import MovedFaregate
from sandbox.stack.ports import free_port_base
from sandbox.testing import temporary_folder

pytestmark = [pytest.mark.proof, pytest.mark.timeout(240)]

LISTENERS = ("gateway", "ledger", "billing", "notifier")
CHANGES = 30


@pytest.fixture
async def product() -> AsyncIterator[MovedFaregate]:
    with temporary_folder() as folder:
        made = MovedFaregate(folder, Addresses.from_gateway_port(free_port_base(PORT_COUNT)))
        made.stack.for_tests()
        async with made as running:
            yield running


class AtAuth(Customer):
    """A customer who reaches auth itself while the gateway is away."""

    async def log_in(self) -> None:
        self.token = ""
        self.token = (await self._post("/auth/login", {"email": self.email, "password": self.password}))["access_token"]

    async def new_key(self, name: str) -> dict[str, Any]:
        return await self._post("/auth/api-keys", {"name": name, "mode": "test"})

    async def keys(self) -> dict[str, str]:
        return {one["name"]: one["id"] for one in await self.all_pages("/auth/api-keys")}

    async def change_key(self, key_id: str, **fields: object) -> None:
        answer = await self.http.patch(f"/auth/api-keys/{key_id}", json=fields, headers=self._headers())
        assert answer.status_code == 200, answer.text

    async def revoke_key(self, key_id: str) -> None:
        answer = await self.http.delete(f"/auth/api-keys/{key_id}", headers=self._headers())
        assert answer.is_success, answer.text


def _at(product: MovedFaregate, service: str, like: AtAuth | None = None) -> AtAuth:
    at = AtAuth(product.addresses.url(service), product.mailbox_url)
    if like is not None:
        at.email, at.password, at.token, at.api_key = like.email, like.password, like.token, like.api_key
    return at


async def _status(customer: Customer, key: str) -> int:
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    body = {"model": MODEL, "max_tokens": 50, "messages": QUESTION}
    answer: httpx2.Response = await customer.http.post("/v1/messages", json=body, headers=headers)
    return answer.status_code


async def _is(expected: int, customer: Customer, key: str) -> bool:
    return await _status(customer, key) == expected


async def _has_credits(customer: Customer) -> bool:
    try:
        return await customer.balance() > 0
    except StoryError:
        return False


async def test_a_day_of_news_from_auth_is_caught_up_by_all_who_were_away(product: MovedFaregate) -> None:
    known = _at(product, "gateway")
    await known.sign_up()
    await until("the trial's credits", partial(_has_credits, known), timeout_s=60)
    assert await _status(known, known.api_key) == 200
    for name in LISTENERS:
        await product.stop(name)

    # The news: keys revoked, made, changed again and again; somebody who joined meanwhile.
    known = _at(product, "auth", known)
    stolen = known.api_key
    await known.revoke_key((await known.keys())["demo"])
    kept = await known.new_key("kept")
    for number in range(CHANGES):
        await known.change_key(kept["id"], budgets=[{"window": "day", "limit": f"0.0000{number + 1:02}"}])
    await known.change_key(kept["id"], budgets=[])
    newcomer = _at(product, "auth")
    await newcomer.sign_up()
    product.pass_time(timedelta(days=1))
    for name in reversed(LISTENERS):
        await product.start(name)

    known, newcomer = _at(product, "gateway", known), _at(product, "gateway", newcomer)
    assert (await known.http.get("/auth/me", headers={"authorization": f"Bearer {known.token}"})).status_code == 401
    await known.log_in()
    await newcomer.log_in()
    assert await _status(known, stolen) == 401
    await until("a call by the key that was made meanwhile", partial(_is, 200, known, kept["key"]))
    await until("the newcomer's credits", partial(_has_credits, newcomer), timeout_s=60)
    await until("the newcomer's call", partial(_is, 200, newcomer, newcomer.api_key))
    assert 0 < await newcomer.balance() <= 5

    async def told() -> bool:
        return any(one["subject"] == "Confirm your address" for one in await newcomer.mails())

    await until("the mail to confirm the newcomer's address", told, timeout_s=30)
