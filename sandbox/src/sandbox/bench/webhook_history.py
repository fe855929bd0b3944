"""What customers do at Stripe before its webhooks are sent, and whether billing has the same afterwards."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Self
from uuid import uuid4

import asyncpg
import httpx2

from sandbox.accounts import Account
from sandbox.bench.product import Measured

ACCOUNTS: Final = 24
BUNDLES: Final = 6
BUYING_AT_ONCE: Final = 4
PAGE: Final = 100

OURS: Final[Mapping[str, str]] = {
    "subscriptions": "SELECT id, status, current_period_end AS at, cancel_at_period_end AS ends FROM subscription",
    "payment_intents": "SELECT id, amount_minor, currency FROM payment WHERE status = 'settled'",
    "refunds": "SELECT id, amount_minor FROM reversal",
    "invoices": "SELECT id, status, total_minor, paid_minor FROM invoice",
}


class StandIn:
    """Stripe's stand-in, asked as its API is, and told what happens there."""

    def __init__(self, measured: Measured) -> None:
        self._http = httpx2.AsyncClient(
            base_url=measured.addresses.url("stripe"),
            auth=(measured.credentials.stripe_secret_key, ""),
            trust_env=False,
            timeout=30,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def happens(self, path: str, told: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return dict((await self._http.post(path, json=told or {})).raise_for_status().json())

    async def asked(self, path: str, **form: str) -> dict[str, Any]:
        return dict((await self._http.post(path, data=form)).raise_for_status().json())

    async def listed(self, kind: str) -> list[dict[str, Any]]:
        """Every object of a kind."""
        found: list[dict[str, Any]] = []
        asked: dict[str, str | int] = {"limit": PAGE} | ({"status": "all"} if kind == "subscriptions" else {})
        while True:
            page = (await self._http.get(f"/v1/{kind}", params=asked)).raise_for_status().json()
            found += page["data"]
            if not page["has_more"]:
                return found
            asked["starting_after"] = page["data"][-1]["id"]


async def make_history(measured: Measured, stripe: StandIn) -> None:
    """Subscriptions that renew, fail, end or go on; bundles of which some are given back. Nobody is told of it yet."""
    await stripe.happens("/sandbox/webhooks", {"url": ""})
    accounts = await measured.accounts(ACCOUNTS, credits_amount=0)
    places = asyncio.Semaphore(BUYING_AT_ONCE)

    async def live(account: Account, number: int) -> None:
        async with places:
            headers = {"authorization": f"Bearer {account.token}"}
            async with httpx2.AsyncClient(base_url=measured.url, headers=headers, trust_env=False, timeout=30) as http:
                await _live(http, stripe, number)

    await asyncio.gather(*(live(account, number) for number, account in enumerate(accounts)))


async def _live(http: httpx2.AsyncClient, stripe: StandIn, number: int) -> None:
    """One customer's dealings; which of them depends on the number."""
    subscription = (await _buy(http, stripe, "measured_monthly"))["subscription"]
    bought = [await _buy(http, stripe, "measured_10") for _ in range(BUNDLES)]
    await stripe.asked("/v1/refunds", payment_intent=bought[0]["payment_intent"], amount=str(100 + number))
    await stripe.happens(f"/sandbox/subscriptions/{subscription}/renew")
    match number % 4:
        case 1:
            await stripe.asked(f"/v1/subscriptions/{subscription}", cancel_at_period_end="true")
        case 2:
            await stripe.happens(f"/sandbox/subscriptions/{subscription}/renew", {"outcome": "failed"})
        case 3:
            await stripe.happens(f"/sandbox/subscriptions/{subscription}/renew")


async def _buy(http: httpx2.AsyncClient, stripe: StandIn, offer: str) -> dict[str, Any]:
    key = {"idempotency-key": uuid4().hex}
    while True:
        answer = await http.post("/billing/checkout", json={"offer": offer}, headers=key)
        if answer.status_code != httpx2.codes.SERVICE_UNAVAILABLE:
            break
        # Billing hears of a new account a moment after the sign-up.
        await asyncio.sleep(0.2)
    return await stripe.happens(f"/sandbox/checkout/{answer.raise_for_status().json()['session_id']}/pay")


async def differences(stripe: StandIn, database: asyncpg.Connection) -> tuple[int, list[str]]:
    """How many rows were compared, and each that only one side has, or that the sides have otherwise."""
    compared, found = 0, []
    for kind, statement in OURS.items():
        theirs = {_theirs(kind, one) for one in await stripe.listed(kind) if _counts(kind, one)}
        ours = {_ours(row) for row in await database.fetch(statement)}
        compared += len(theirs | ours)
        found += [f"{kind}: Stripe alone has {one}" for one in sorted(theirs - ours, key=str)]
        found += [f"{kind}: billing alone has {one}" for one in sorted(ours - theirs, key=str)]
    return compared, found


def _counts(kind: str, body: Mapping[str, Any]) -> bool:
    """A payment that failed so far has no row that says settled."""
    return kind != "payment_intents" or body["status"] == "succeeded"


def _theirs(kind: str, body: Mapping[str, Any]) -> tuple[Any, ...]:
    match kind:
        case "subscriptions":
            ends_at = body["items"]["data"][0]["current_period_end"]
            return body["id"], body["status"], ends_at, body["cancel_at_period_end"]
        case "payment_intents":
            return body["id"], body["amount_received"], body["currency"]
        case "refunds":
            return body["id"], body["amount"]
        case _:
            return body["id"], body["status"], body["total"], body["amount_paid"]


def _ours(row: asyncpg.Record) -> tuple[Any, ...]:
    return tuple(int(value.timestamp()) if hasattr(value, "timestamp") else value for value in row)
