"""What this story's customer does beyond the first one's: uses plans up, pays with another card, changes and ends."""

import asyncio
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

import anthropic
from anthropic.types import MessageParam

from sandbox.demo.customer import Customer, StoryError

MODEL: Final = "claude-sonnet-5-5"
OUTPUT_WEIGHT: Final = 5
"""Plan tokens of a token of output, as the catalogue says."""
AT_ONCE: Final = 4
QUESTION: Final[list[MessageParam]] = [{"role": "user", "content": "Tell me of a city that prepaid for its lamp oil."}]


class Buyer(Customer):
    """One customer over many months."""

    async def log_in_again(self) -> None:
        """Sessions end while months pass."""
        credentials = {"email": self.email, "password": self.password}
        self.token = (await self._post("/auth/login", credentials))["access_token"]

    async def ask(self, output_tokens: int) -> None:
        """One streamed call by the official SDK that answers so many tokens."""
        headers = {"anthropic-sandbox-scenario": f"text;output_tokens={output_tokens};delay_ms=0;tokens_per_delta=200"}
        async with self.sdk().messages.stream(
            model=MODEL, max_tokens=output_tokens, messages=QUESTION, extra_headers=headers
        ) as answer:
            await answer.until_done()

    async def ask_many(self, output_tokens: int, *, calls: int) -> None:
        """The same several times, a few at once."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with places:
                await self.ask(output_tokens)

        await asyncio.gather(*(one() for _ in range(calls)))

    async def refused(self, output_tokens: int) -> str:
        """A call that must not be admitted: what it is told."""
        try:
            await self.ask(output_tokens)
        except anthropic.APIStatusError as refusal:
            body = refusal.body if isinstance(refusal.body, dict) else {}
            error = body.get("error", {})
            if refusal.status_code != 402 or error.get("type") != "billing_error":
                raise StoryError(f"expected 402 billing_error, got {refusal.status_code} {error}") from refusal
            return str(error["message"])
        raise StoryError("a call was admitted although nothing is left")

    async def tokens_left(self) -> int:
        units = {one["unit"]: one["available"] for one in (await self.get("/ledger/balance"))["units"]}
        return int(units.get("token", "0"))

    async def allow_overage(self, most: str) -> None:
        path = "/billing/overage"
        await self._answer(self.http.put(path, json={"ceiling": most}, headers=self._headers()), path)

    async def card_on_file(self) -> dict[str, Any]:
        """The card that is charged."""
        found = (await self.get("/billing/payment-methods"))["items"]
        return next(dict(one) for one in found if one["charged"])

    async def bring_another_card(self) -> None:
        """Over Stripe's own page, then make it the one that is charged."""
        known = {one["id"] for one in (await self.get("/billing/payment-methods"))["items"]}
        page = (await self._write("/billing/checkout", {"mode": "setup"}))["checkout_url"]
        await self.press_pay(page)
        found = (await self.get("/billing/payment-methods"))["items"]
        new = next(one["id"] for one in found if one["id"] not in known)
        await self._write(f"/billing/payment-methods/{new}/default", None)

    async def preview(self, plan: str) -> dict[str, Any]:
        return await self._post("/billing/subscription/preview", {"plan": plan})

    async def change_plan(self, plan: str, *, previewed_at: str) -> None:
        await self._write("/billing/subscription/change", {"plan": plan, "previewed_at": previewed_at})

    async def cancel(self) -> None:
        await self._write("/billing/subscription/cancel", {"when": "period_end"})

    async def subscription(self) -> dict[str, Any]:
        found = (await self.get("/billing/subscription"))["subscription"]
        if found is None:
            raise StoryError("billing knows no subscription")
        return dict(found)

    async def invoices(self) -> list[dict[str, Any]]:
        return await self.all_pages("/billing/invoices")

    async def mails_about(self, *words: str) -> list[str]:
        """Subjects with all of these words, newest first."""
        subjects = [str(one["subject"]) for one in await self.mails()]
        return [one for one in subjects if all(word in one.lower() for word in words)]

    async def _write(self, path: str, body: object) -> dict[str, Any]:
        return await self._post(path, body, {"Idempotency-Key": uuid4().hex})


def money(minor: int) -> str:
    return f"${Decimal(minor) / 100:,.2f}"
