"""What a customer's program does: plain HTTP and the official SDK, nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

import anthropic
import httpx2

WAIT_S: Final = 20.0
LARGE_CALL_TOKENS: Final = 40_000
MODEL: Final = "claude-opus-5-5"


class StoryError(Exception):
    """A step of the story did not happen; the message says which and what was seen instead."""


@dataclass
class Customer:
    """One customer at the gateway's address, with their own mailbox."""

    gateway_url: str
    mailbox_url: str
    email: str = field(default_factory=lambda: f"demo-{uuid4().hex[:8]}@example.com")
    password: str = field(default_factory=lambda: f"pass-{uuid4().hex}")
    token: str = ""
    api_key: str = ""

    def __post_init__(self) -> None:
        self.http = httpx2.AsyncClient(base_url=self.gateway_url, timeout=30.0, follow_redirects=False)

    async def sign_up(self) -> None:
        credentials = {"email": self.email, "password": self.password}
        await self._post("/auth/register", credentials)
        self.token = (await self._post("/auth/login", credentials))["access_token"]
        self.api_key = (await self._post("/auth/api-keys", {"name": "demo", "mode": "test"}))["key"]

    def sdk(self, *, with_token: bool = False) -> anthropic.AsyncAnthropic:
        """The official client, unmodified, with the API key or the access token."""
        if with_token:
            return anthropic.AsyncAnthropic(
                base_url=self.gateway_url, auth_token=self.token, api_key=None, max_retries=0
            )
        return anthropic.AsyncAnthropic(base_url=self.gateway_url, api_key=self.api_key, max_retries=0)

    async def balance(self) -> Decimal:
        return Decimal((await self.get("/ledger/balance"))["available_credits"])

    async def all_pages(self, path: str) -> list[dict[str, Any]]:
        """Every item of a paged list."""
        items: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = await self.get(path, **({"cursor": cursor} if cursor else {}), limit="200")
            items += page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return items

    async def buy(self, offer: str) -> str:
        """Start a checkout; returns the address of the pay page."""
        answer = await self._post("/billing/checkout", {"offer": offer}, {"Idempotency-Key": uuid4().hex})
        return str(answer["checkout_url"])

    async def press_pay(self, page_url: str) -> None:
        """Open the pay page and press its button, as a person would."""
        page = await self.http.get(page_url)
        if page.status_code != 200 or 'value="pay"' not in page.text:
            raise StoryError(f"the pay page answered {page.status_code} without a pay button")
        paid = await self.http.post(page_url, data={"action": "pay", "email": self.email})
        if paid.status_code != 303:
            raise StoryError(f"paying answered {paid.status_code}")

    async def mails(self) -> list[dict[str, Any]]:
        answer = await self.http.get(f"{self.mailbox_url}/api/messages", params={"to": self.email})
        return list(answer.raise_for_status().json()["messages"])

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        return await self._answer(self.http.get(path, params=query, headers=self._headers()), path)

    async def _post(self, path: str, body: object, headers: dict[str, str] | None = None) -> dict[str, Any]:
        return await self._answer(self.http.post(path, json=body, headers={**self._headers(), **(headers or {})}), path)

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    @staticmethod
    async def _answer(sending: Awaitable[httpx2.Response], path: str) -> dict[str, Any]:
        answer = await sending
        if answer.is_error:
            raise StoryError(f"{path} answered {answer.status_code}: {answer.text[:300]}")
        return dict(answer.json())


async def until(what: str, true: Callable[[], Awaitable[object]], *, timeout_s: float = WAIT_S) -> None:
    """Wait until something is so; raises `StoryError` naming it when it does not become so."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not await true():
        if asyncio.get_running_loop().time() > deadline:
            raise StoryError(f"waited {timeout_s:.0f} s in vain: {what}")
        await asyncio.sleep(0.1)
