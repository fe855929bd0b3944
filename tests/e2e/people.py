"""A team with a member of each role, beside an operator and another tenant, made as people make them."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
from tests.e2e.conftest import Product

from sandbox.demo.customer import Customer, until

REASON = {"reason": "a test"}
MOST_S = 10


async def patiently(ask: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    """Waits as it is told to, when that is seconds: many wrong passwords look like guessing."""
    answer = await ask()
    for _ in range(8):
        wait_s = int(answer.headers.get("retry-after", MOST_S + 1))
        if answer.status_code != httpx2.codes.TOO_MANY_REQUESTS or wait_s > MOST_S:
            break
        await asyncio.sleep(wait_s)
        answer = await ask()
    return answer


@dataclass
class Person:
    """Somebody with a token; `token` is asked for anew where a route ends the session."""

    customer: Customer
    role: str
    account_id: str = ""

    @property
    def http(self) -> httpx2.AsyncClient:
        return self.customer.http

    @property
    def token(self) -> str:
        return self.customer.token

    async def ask(self, method: str, path: str, **body: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.token}", "idempotency-key": uuid4().hex}
        return await self.http.request(method, path, json=body or None, headers=headers)

    async def do(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.ask(method, path, **body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def work_in(self, account_id: str) -> None:
        self.account_id = account_id
        self.customer.token = (await self.do("POST", "/auth/switch", account_id=account_id))["access_token"]

    async def again(self) -> None:
        """A new session."""
        body = {"email": self.customer.email, "password": self.customer.password}
        answer = await patiently(lambda: self.http.post("/auth/login", json=body))
        self.customer.token = answer.raise_for_status().json()["access_token"]


async def link_token(customer: Customer, *, page: str) -> str:
    """The token of the newest mail with a link to this page."""
    found: list[str] = []

    async def arrived() -> bool:
        for mail in await customer.mails():
            text = (await customer.http.get(f"{customer.mailbox_url}/api/messages/{mail['id']}")).json()["text"]
            found.extend(re.findall(rf"{page}\?token=(\S+)", text))
        return bool(found)

    await until(f"the mail with a link to {page}", arrived)
    return found[0]


async def signed_in(product: Product, role: str) -> Person:
    customer = product.customer()
    await customer.sign_up()
    return Person(customer, role)


async def team(product: Product) -> Person:
    """The owner of a new team, at work in it."""
    owner = await signed_in(product, "owner")
    token = await link_token(owner.customer, page="/auth/pages/verify")
    await owner.do("POST", "/auth/verify-email", token=token)
    await owner.work_in((await owner.do("POST", "/auth/accounts", name="Poets"))["id"])
    return owner


async def member(product: Product, owner: Person, role: str) -> Person:
    """Invited by mail, joined, and at work in the team."""
    person = await signed_in(product, role)
    await owner.do("POST", "/auth/invitations", email=person.customer.email, role=role)
    token = await link_token(person.customer, page="/auth/pages/invitation")
    await person.do("POST", "/auth/invitations/accept", token=token)
    await person.work_in(owner.account_id)
    return person


async def operator(product: Product) -> Person:
    """With a fresh proof of a moment ago."""
    customer = product.customer()
    customer.email, customer.password = product.credentials.operator.email, product.credentials.operator.password
    customer.token = await product.stepped_up_token()
    return Person(customer, "operator")
