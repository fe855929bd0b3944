"""Plans in every unit, overage, soft limits and budgets: gateway and ledger say the same after each step, exactly."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import anthropic
import httpx2
import pytest
from tests.e2e.shop import (
    FAIR_BLOCKED,
    FAIR_RATE,
    FAIR_THROTTLED,
    FREE_TOKENS,
    NANO,
    OUTPUT_WEIGHT,
    PER_1K,
    PRO_TOKENS,
    REQUEST_MOST,
    Amounts,
    Shop,
    Subscriber,
    Used,
)

from contracts.auth import AccountChanged, MemberChanged, ProjectChanged
from contracts.terms import Budget
from sandbox.addresses import PORT_COUNT, Addresses
from sandbox.demo.customer import until
from sandbox.stack.ports import free_port_base
from sandbox.testing import temporary_folder

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(240)]

SMALL = 100
CEILING = Decimal("0.05")
PRO_PRICE = Decimal(20)
# Above whatever auth has said of an account made a moment ago.
LATEST = 1_000
# So long that the month in which the tests run is over, and its calls' detail is older than the 90 days it is kept.
LATER = timedelta(days=130)


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    addresses = Addresses.from_gateway_port(free_port_base(PORT_COUNT))
    with temporary_folder() as folder:
        async with Shop(folder, addresses) as running:
            yield running


async def spend_tokens(subscriber: Subscriber) -> int:
    """All plan tokens but so few that they do not cover a small call; how many those are."""
    left = (await subscriber.amounts()).token
    reserved_input = (await subscriber.quote(SMALL))["worst"]["tokens"] - OUTPUT_WEIGHT * SMALL
    used = await subscriber.ask((left - reserved_input) // OUTPUT_WEIGHT)
    after = await subscriber.amounts()
    assert after.token == left - used.plan_tokens
    assert 0 < after.token < OUTPUT_WEIGHT * SMALL
    return after.token


def check_refused(refused: anthropic.APIStatusError, *, status: int) -> None:
    assert refused.status_code == status
    assert refused.type == "billing_error"
    assert refused.response.headers["x-should-retry"] == "false"
    assert refused.response.request.headers["x-stainless-retry-count"] == "0"


def billed_later(used: Used, *, tokens_paid: int = 0) -> Decimal:
    """What such a call costs past the plan, beyond what plan tokens paid of it."""
    whole = -(-used.plan_tokens * int(PER_1K * NANO) // 1_000) / NANO
    return used.share(whole, tokens_paid)


async def test_plan_tokens_pay_first_then_credits_and_a_call_is_split_between_them(shop: Shop) -> None:
    subscriber = await shop.subscriber()
    assert await subscriber.amounts() == Amounts(token=FREE_TOKENS)
    quote = await subscriber.quote(SMALL)
    used = await subscriber.ask(SMALL)
    assert quote["paid_by"] == [{"payer": "token", "amount": str(quote["worst"]["tokens"])}]
    assert used.plan_tokens <= quote["worst"]["tokens"]
    assert await subscriber.amounts() == Amounts(token=FREE_TOKENS - used.plan_tokens)

    left = await spend_tokens(subscriber)
    quote = await subscriber.quote(SMALL)
    refused = await subscriber.refused(SMALL)
    check_refused(refused, status=402)
    renews_at = datetime.fromisoformat((await subscriber.limits())["renews_at"])
    assert f"{renews_at:%Y-%m-%d}" in refused.message
    assert (quote["admitted"], quote["obstacle"]["reason"]) == (False, "credit")
    assert Decimal(quote["short_by"]) > 0

    await shop.give(subscriber, "1")
    assert await subscriber.amounts() == Amounts(credit=Decimal(1), token=left)
    quote = await subscriber.quote(SMALL)
    used = await subscriber.ask(SMALL)
    paid = used.share(used.price, left)
    assert [one["payer"] for one in quote["paid_by"]] == ["token", "credit"]
    assert Decimal(quote["paid_by"][1]["amount"]) >= paid > 0
    assert await subscriber.amounts() == Amounts(credit=1 - paid)
    request = await subscriber.last_request()
    assert (request["plan_tokens"], Decimal(request["price_credits"])) == (left, paid)
    assert {(one["unit"], one["amount"] or Decimal(one["amount_credits"])) for one in request["grants"]} == {
        ("token", str(left)),
        ("credit", paid),
    }

    whole = await subscriber.ask(SMALL)
    assert await subscriber.amounts() == Amounts(credit=1 - paid - whole.price)
    await check_older_clients_reading(subscriber, calls=4)


async def check_older_clients_reading(subscriber: Subscriber, *, calls: int) -> None:
    """Their pages are made from the ledger's sums."""
    listed = await subscriber.all_pages("/v1/requests")
    current = await subscriber.get("/api/usage/current")
    assert len(listed) == calls
    assert (current["requests"], current["by_model"], current["complete"]) == (calls, {listed[0]["model"]: calls}, True)
    assert current["tokens_used"] == sum(sum(one["counts"].values()) for one in listed)
    assert Decimal(current["charge"]) == sum(Decimal(one["price_credits"]) for one in listed)


async def test_each_call_of_a_bundle_takes_one_and_a_dear_one_takes_credits_too(shop: Shop) -> None:
    subscriber = await shop.subscriber()
    await shop.give(subscriber, "1")
    await subscriber.press_pay(await subscriber.buy("calls_10"))

    async def has_bundle() -> bool:
        return (await subscriber.amounts()).request == 10

    await until("ten calls", has_bundle)
    dear = await subscriber.ask(1_000)
    assert dear.price > REQUEST_MOST
    left = Amounts(credit=1 - (dear.price - REQUEST_MOST), token=FREE_TOKENS, request=9)
    assert await subscriber.amounts() == left

    await asyncio.gather(*(subscriber.ask(SMALL) for _ in range(9)))
    assert await subscriber.amounts() == Amounts(credit=left.credit, token=FREE_TOKENS)
    used = await subscriber.ask(SMALL)
    assert await subscriber.amounts() == Amounts(credit=left.credit, token=FREE_TOKENS - used.plan_tokens)


async def test_overage_is_what_the_plan_costs_until_the_customer_says_how_much_and_ends_there(shop: Shop) -> None:
    subscriber = await shop.subscriber("pro")
    subscriber.ceiling = PRO_PRICE
    assert await subscriber.amounts() == Amounts(token=FREE_TOKENS + PRO_TOKENS, overage=PRO_PRICE)
    await subscriber.allow_overage(Decimal(0))
    assert await subscriber.amounts() == Amounts(token=FREE_TOKENS + PRO_TOKENS)
    left = await spend_tokens(subscriber)
    check_refused(await subscriber.refused(SMALL), status=402)

    await subscriber.allow_overage(CEILING)
    assert await subscriber.amounts() == Amounts(token=left, overage=CEILING)
    room, paid = CEILING, left
    while (quote := await subscriber.quote(SMALL))["admitted"]:
        later = billed_later(await subscriber.ask(SMALL), tokens_paid=paid)
        assert quote["paid_by"][-1]["payer"] == "overage"
        assert Decimal(quote["paid_by"][-1]["amount"]) >= later
        room, paid = room - later, 0
        assert await subscriber.amounts() == Amounts(overage=room)
    assert 0 <= room < CEILING / 2
    check_refused(await subscriber.refused(SMALL), status=402)
    requests = await subscriber.all_pages("/v1/requests")
    assert sum(Decimal(one["overage_credits"]) for one in requests) == CEILING - room


async def test_a_lenient_plan_lets_calls_pass_for_nothing_once_its_tokens_are_gone(shop: Shop) -> None:
    subscriber = await shop.subscriber("lenient")
    left = await spend_tokens(subscriber)
    used = await subscriber.ask(SMALL)
    assert used.plan_tokens > left
    assert await subscriber.amounts() == Amounts()
    before = (await subscriber.last_request())["id"]
    await subscriber.ask(SMALL)

    async def is_listed() -> bool:
        """It changes no amount by which one could see that it is booked."""
        return bool((await subscriber.last_request())["id"] != before)

    await until("the call that nothing paid for", is_listed)
    assert await subscriber.amounts() == Amounts()
    assert Decimal((await subscriber.get("/ledger/balance"))["debt_credits"]) == 0
    request = await subscriber.last_request()
    assert (request["plan_tokens"], Decimal(request["price_credits"])) == (0, 0)


async def test_past_fair_use_calls_are_slowed_then_blocked_until_the_period_is_over(shop: Shop) -> None:
    subscriber = await shop.subscriber("fair")

    async def rate() -> int | None:
        limits = (await subscriber.limits())["limits"]
        return next((one["limit"] for one in limits if one["name"] == "requests_per_minute"), None)

    for _ in range(FAIR_THROTTLED):
        assert await rate() is None
        await subscriber.ask(SMALL)
        await subscriber.amounts()
    for _ in range(FAIR_THROTTLED, FAIR_BLOCKED):
        assert await rate() == FAIR_RATE
        await subscriber.ask(SMALL)
        await booked(subscriber)

    refused = await subscriber.refused(SMALL)
    check_refused(refused, status=402)
    assert not (await subscriber.quote(SMALL))["admitted"]


async def booked(subscriber: Subscriber) -> None:
    async def is_so() -> bool:
        amounts = (await subscriber.limits())["amounts"]
        return not any(Decimal(one["held"]) or Decimal(one["unconfirmed"]) for one in amounts)

    await until("nothing under way", is_so)


async def test_budgets_of_member_account_and_project_count_prices_whoever_pays(shop: Shop) -> None:
    subscriber = await shop.subscriber()
    await shop.give(subscriber, "1")
    user = user_of(subscriber)
    limit = Decimal("0.005")
    await shop.say(
        MemberChanged(
            **said(), account_id=subscriber.account_id, user_id=user, version=LATEST, role="owner", state="active",
            budgets=(Budget(window="day", limit_nano=int(limit * NANO)),),
        ),
        source="auth",
    )  # fmt: skip
    await until("the member's budget", lambda: has_budgets(subscriber, "member"))
    price = Decimal(0)
    while (quote := await subscriber.quote(100))["admitted"]:
        price += (await subscriber.ask(100)).price
        await subscriber.amounts()
        assert await spent(subscriber) == {"member": price}
    check_refused(await subscriber.refused(100), status=429)
    assert (quote["obstacle"]["reason"], quote["obstacle"]["limit"]) == ("budget", "budget:member:day")
    assert limit / 2 < price <= limit
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert datetime.fromisoformat(quote["obstacle"]["resets_at"]) == tomorrow

    # The account's own begins with what the month has seen; who raises the member's comes to this one.
    await shop.say(
        AccountChanged(
            **said(), account_id=subscriber.account_id, version=LATEST, kind="personal", state="open",
            budgets=(Budget(window="month", limit_nano=int((price + limit) * NANO)),),
        ),
        source="auth",
    )  # fmt: skip
    await until("the account's budget", lambda: has_budgets(subscriber, "account", "member"))
    assert await spent(subscriber) == {"member": price, "account": price}


async def test_a_projects_budget_holds_for_the_operations_of_its_key(shop: Shop) -> None:
    subscriber = await shop.subscriber()
    await shop.give(subscriber, "1")
    [key] = (await subscriber.get("/auth/api-keys"))["items"]
    # One run costs 0.0575.
    run = Decimal("0.0575")

    async def use() -> httpx2.Response:
        headers = {"x-api-key": subscriber.api_key, "Idempotency-Key": uuid4().hex}
        return await subscriber.http.post("/v1/usage", json={"operation": "agent_run"}, headers=headers)

    async def allow(limit: Decimal, *, version: int) -> None:
        event = ProjectChanged(
            **said(), account_id=subscriber.account_id, project_id=key["project_id"], version=version, state="active",
            budgets=(Budget(window="total", limit_nano=int(limit * NANO)),),
        )  # fmt: skip
        await shop.say(event, source="auth")

        async def is_known() -> bool:
            return [Decimal(one["limit_credits"]) for one in (await subscriber.limits())["budgets"]] == [limit]

        await until("the project's budget", is_known)

    await allow(Decimal("0.1"), version=LATEST)
    used, refused = await use(), await use()
    assert (used.status_code, refused.status_code, refused.json()["error"]["type"]) == (200, 429, "billing_error")
    assert (await subscriber.amounts()).credit == 1 - run
    assert await spent(subscriber) == {"project": run}

    await allow(2 * run, version=LATEST + 1)
    assert (await use()).status_code == 200
    assert (await subscriber.amounts()).credit == 1 - 2 * run
    assert await spent(subscriber) == {"project": 2 * run}


async def test_months_later_allowance_and_overage_room_are_new_and_an_archived_call_still_explains_itself(
    shop: Shop,
) -> None:
    """Last, because from here on all services live that much later."""
    free, pro = await asyncio.gather(shop.subscriber(), shop.subscriber("pro"))
    await pro.allow_overage(CEILING)
    used = await free.ask(SMALL)
    left = await spend_tokens(pro)
    late = await pro.ask(SMALL)
    assert await free.amounts() == Amounts(token=FREE_TOKENS - used.plan_tokens)
    assert await pro.amounts() == Amounts(overage=CEILING - billed_later(late, tokens_paid=left))
    before = await pro.last_request()

    await shop.move_clock(LATER)

    await asyncio.gather(free.log_in_again(), pro.log_in_again())
    assert await free.amounts() == Amounts(token=FREE_TOKENS)
    used = await free.ask(SMALL)
    assert await free.amounts() == Amounts(token=FREE_TOKENS - used.plan_tokens)
    current = await free.get("/api/usage/current")
    assert (current["requests"], current["tokens_left"]) == (1, FREE_TOKENS - used.plan_tokens)
    assert await pro.amounts() == Amounts(overage=CEILING)
    await check_archived(shop, pro, before)
    assert await shop.books_differ() == []


async def check_archived(shop: Shop, subscriber: Subscriber, before: dict[str, Any]) -> None:
    """Its detail has gone to a file; what it cost and why stays."""
    archives = await shop.ledger_command("archive")
    after = await subscriber.get(f"/v1/requests/{before['id']}")
    assert after["archived"]["file"] in {one["file"] for one in archives}
    assert (before["archived"], after["counts"]) == (None, None)
    kept = ("outcome", "model", "price_credits", "plan_tokens", "overage_credits", "grants", "transfers", "plan")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    listed = {one["id"]: one for one in (await subscriber.get("/v1/requests"))["items"]}[before["id"]]
    assert (listed["price_credits"], listed["counts"]) == (before["price_credits"], None)


def said() -> dict[str, object]:
    return {"id": uuid4(), "time": datetime.now(UTC)}


def user_of(subscriber: Subscriber) -> UUID:
    """Whom their access token names."""
    payload = subscriber.token.split(".")[1]
    return UUID(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])


async def has_budgets(subscriber: Subscriber, *scopes: str) -> bool:
    return sorted(one["scope"] for one in (await subscriber.limits())["budgets"]) == sorted(scopes)


async def spent(subscriber: Subscriber) -> dict[str, Decimal]:
    """What the gateway says that each budget has seen, nothing of it in flight."""
    budgets = (await subscriber.limits())["budgets"]
    assert all(Decimal(one["in_flight_credits"]) == 0 for one in budgets)
    return {one["scope"]: Decimal(one["spent_credits"]) for one in budgets}
