"""Customers' operations over the real scripts: caps, budgets, rates, expiry, a lost Redis, several gateways."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from served_operations import Served, serving

from contracts.terms import BudgetState, Limits, OverageTerms, PaymentProblem, Terms
from rating import PriceBook
from sandbox.stack import Stack

IMAGE = {"operation": "image", "quantity": 2}
# Sweepers look at an account now and then only.
SWEPT_BY_S = 600.0


@pytest.fixture
async def served(stack: Stack, book: PriceBook) -> AsyncIterator[Served]:
    async with serving(stack.redis_url, book) as running:
        yield running


async def test_a_hold_takes_from_what_is_available_and_its_confirmation_gives_the_rest_back(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account(credit=1)

    hold = await customer.hold(node)
    assert (await customer.units(node))["credit"] == {
        "unit": "credit",
        "available": "0.908",
        "held": "0.092",
        "unconfirmed": "0",
    }
    confirmed = await customer.post(node, f"/v1/holds/{hold['id']}/confirm", {"quantity": 1})

    assert confirmed.status_code == 200
    assert confirmed.json()["price_credits"] == "0.046"
    assert (await customer.units(node))["credit"] == {
        "unit": "credit",
        "available": "0.954",
        "held": "0",
        "unconfirmed": "0.046",
    }


async def test_the_answer_names_what_it_cost_and_what_is_left(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account(credit=1)

    answer = await customer.post(node, "/v1/usage", IMAGE, key="key-1")

    assert answer.headers["faregate-estimated-cost"] == "0.092"
    assert answer.headers["faregate-balance"] == "0.908"
    assert answer.headers["faregate-request-id"] == answer.json()["request_id"]


async def test_a_released_hold_gives_all_back(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account(credit=1)
    hold = await customer.hold(node)

    assert (await customer.post(node, f"/v1/holds/{hold['id']}/release")).json()["state"] == "released"

    assert (await customer.units(node))["credit"]["available"] == "1"


async def test_too_few_credits_are_a_402_that_takes_nothing_and_can_be_repeated(served: Served) -> None:
    problem = PaymentProblem(reason="insufficient_funds", card_brand="visa", card_last4="0341")
    node, customer = await served.gateway("a"), served.account(credit=0.09, payment_problem=problem)

    refused = await customer.post(node, "/v1/usage", IMAGE, key="key-1")

    assert refused.status_code == 402
    assert "the Visa card ending in 0341 was declined" in refused.json()["error"]["message"]
    assert refused.json()["error"]["type"] == "billing_error"
    assert refused.headers["x-should-retry"] == "false"
    assert (await customer.units(node))["credit"]["available"] == "0.09"
    assert served.store.events == []
    smaller = await customer.post(node, "/v1/usage", {"operation": "image"}, key="key-1")
    assert smaller.status_code == 200


async def test_many_holds_at_once_from_two_gateways_never_pass_the_balance(served: Served) -> None:
    nodes = [await served.gateway("a"), await served.gateway("b")]
    customer = served.account(credit=0.46)

    holding = [
        customer.post(nodes[number % 2], "/v1/holds", {"operation": "image"}, key=f"key-{number}")
        for number in range(40)
    ]
    statuses = [answer.status_code for answer in await asyncio.gather(*holding)]

    assert sorted(set(statuses)) == [201, 402]
    assert statuses.count(201) == 10
    assert (await customer.units(nodes[0]))["credit"]["available"] == "0"


async def test_a_budget_that_the_customer_set_holds_for_operations(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account(credit=10)
    caller = customer.caller
    assert caller.api_key_id is not None
    budget = BudgetState(
        scope="api_key", scope_id=caller.api_key_id, window="day", limit_nano=100_000_000, spent_nano=20_000_000
    )
    served.ledger.snapshots[customer.account_id] = served.ledger.snapshots[customer.account_id].model_copy(
        update={"budgets": (budget,)}
    )

    refused = await customer.post(node, "/v1/usage", IMAGE, key="key-1")
    assert refused.status_code == 429
    assert (await customer.post(node, "/v1/usage", {"operation": "image"}, key="key-2")).status_code == 200
    [shown] = (await customer.get(node, "/v1/limits")).json()["budgets"]
    assert (shown["scope"], shown["spent_credits"], shown["in_flight_credits"], shown["remaining_credits"]) == (
        "api_key",
        "0.02",
        "0.046",
        "0.034",
    )


async def test_the_plans_rate_holds_for_operations(served: Served) -> None:
    node = await served.gateway("a")
    customer = served.account(limits=Limits(requests_per_minute=2))

    statuses = [
        (await customer.post(node, "/v1/usage", {"operation": "image"}, key=f"key-{number}")).status_code
        for number in range(3)
    ]

    assert statuses == [200, 200, 429]


async def test_past_the_plan_an_operation_costs_its_price_whatever_tokens_cost_there(served: Served) -> None:
    node = await served.gateway("a")
    overage = OverageTerms(policy="bill", nano_per_1k_tokens=1)
    customer = served.account(credit=0, terms=Terms(overage=overage))
    room = served.ledger.snapshots[customer.account_id]
    slice_ = served.account(credit=1)
    billed = served.ledger.snapshots[slice_.account_id].slices[0].model_copy(update={"kind": "overage"})
    served.ledger.snapshots[customer.account_id] = room.model_copy(update={"slices": (billed,)})

    answer = await customer.post(node, "/v1/usage", IMAGE, key="key-1")

    assert answer.status_code == 200, answer.text
    assert (await customer.units(node))["overage"]["available"] == "0.908"


async def test_an_expired_hold_is_swept_as_orphaned_and_can_no_longer_be_confirmed(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account(credit=1)
    hold = await customer.hold(node, expires_in_s=30)

    await served.sweeper(offset_s=SWEPT_BY_S).sweep()

    told = [one for one in served.store.told if one.account_id == customer.account_id]
    assert [(one.outcome, str(one.id)) for one in told] == [("orphaned", hold["request_id"])]
    assert told[0].operation is not None
    assert (told[0].operation.name, told[0].operation.idempotency_key) == ("image", "key-1")
    later = await served.gateway("later", offset_s=31.0)
    assert (await customer.post(later, f"/v1/holds/{hold['id']}/confirm")).status_code == 409


async def test_only_its_own_expiry_ends_a_hold(served: Served) -> None:
    """Nobody beats for it, and the sweeper's patience is not asked."""
    node, customer = await served.gateway("a"), served.account(credit=1)
    await customer.hold(node, expires_in_s=3600)
    await node.admission.stop()

    await served.sweeper(offset_s=1800.0).sweep()

    assert [one for one in served.store.told if one.account_id == customer.account_id] == []
    assert node.admission.open_calls == frozenset()


async def test_two_gateways_that_confirm_at_once_charge_once(served: Served) -> None:
    nodes = [await served.gateway("a"), await served.gateway("b")]
    customer = served.account(credit=1)
    hold = await customer.hold(nodes[0])

    confirming = [customer.post(nodes[number % 2], f"/v1/holds/{hold['id']}/confirm") for number in range(6)]
    answers = await asyncio.gather(*confirming)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(set(served.store.events)) == 1
    assert (await customer.units(nodes[0]))["credit"]["available"] == "0.908"


async def test_a_hold_that_was_lost_with_redis_is_confirmed_and_counts_until_it_is_booked(served: Served) -> None:
    """(money.md 6): the entry is created as ended, and the event says all that was stamped."""
    node, customer = await served.gateway("a"), served.account(credit=1)
    hold = await customer.hold(node)
    await customer.lose_redis(node)
    assert (await customer.units(node))["credit"]["available"] == "1", "nobody re-enters a customer's hold"

    other = await served.gateway("b")
    confirmed = await customer.post(other, f"/v1/holds/{hold['id']}/confirm")

    assert confirmed.status_code == 200
    [told] = [one for one in served.store.told if one.account_id == customer.account_id]
    assert told.gateway_instance == "a"
    assert [part.amount for part in told.allocation] == [92_000_000]
    assert (await customer.units(node))["credit"]["available"] == "0.908"


async def test_what_the_ledger_has_booked_is_gone_from_the_state(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account(credit=1)
    answer = await customer.post(node, "/v1/usage", IMAGE, key="key-1")
    booked = served.ledger.snapshots[customer.account_id]
    left = booked.slices[0].model_copy(update={"amount": 908_000_000})

    await node.admission.apply_snapshot(
        booked.model_copy(update={"version": 2, "slices": (left,), "applied": (UUID(answer.json()["request_id"]),)})
    )

    assert (await customer.units(node))["credit"] == {
        "unit": "credit",
        "available": "0.908",
        "held": "0",
        "unconfirmed": "0",
    }


async def test_the_same_key_is_answered_alike_by_every_gateway_and_another_body_is_409(served: Served) -> None:
    nodes = [await served.gateway("a"), await served.gateway("b")]
    customer = served.account(credit=1)

    first, again = [await customer.post(node, "/v1/usage", IMAGE, key="key-1") for node in nodes]
    other = await customer.post(nodes[1], "/v1/usage", {"operation": "image"}, key="key-1")

    assert first.content == again.content
    assert (other.status_code, other.json()["error"]["type"]) == (409, "conflict_error")
    assert (await customer.units(nodes[0]))["credit"]["available"] == "0.908"


@pytest.mark.parametrize(
    ("body", "key", "status", "named"),
    [
        (IMAGE, None, 400, "Idempotency-Key"),
        ({"operation": "telepathy"}, "k", 404, "telepathy"),
        ({"operation": "image", "quantity": 0}, "k", 400, "quantity"),
        ({"operation": "image", "quantity": True}, "k", 400, "quantity"),
        ({"operation": "image", "unit": "run"}, "k", 400, "unit"),
        ({"operation": "Image"}, "k", 400, "operation"),
        ({"operation": "image", "surplus": 1}, "k", 400, "surplus"),
        ({"operation": "image", "expires_in_s": 86_401}, "k", 400, "expires_in_s"),
        ({"operation": "image", "project": "x"}, "k", 400, "project"),
    ],
)
async def test_a_request_that_is_wrong_is_refused_by_field(
    served: Served, body: Any, key: str | None, status: int, named: str
) -> None:
    node, customer = await served.gateway("a"), served.account()

    refused = await customer.post(node, "/v1/holds", body, key=key)

    assert refused.status_code == status
    assert named in refused.json()["error"]["message"]


async def test_a_session_cannot_use_the_routes_for_servers(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account(api_key_id=None)

    for path in ("/v1/usage", "/v1/holds", "/v1/holds/hold_x/confirm", "/v1/holds/hold_x/release"):
        refused = await customer.post(node, path, IMAGE if path in {"/v1/usage", "/v1/holds"} else None, key="k")
        assert refused.status_code == 403
    assert (await customer.get(node, "/v1/holds/hold_x")).status_code == 403


@pytest.mark.parametrize(
    ("scopes", "status"),
    [(("route:/v1/holds",), 201), (("route:/v1/messages",), 403), (("model:image",), 201), (("model:agent_run",), 403)],
)
async def test_a_keys_scopes_bound_what_it_may_hold(served: Served, scopes: tuple[str, ...], status: int) -> None:
    node, customer = await served.gateway("a"), served.account(scopes=scopes)

    await customer.hold(node, status=status)


async def test_a_plan_that_lists_what_it_sells_sells_only_the_operations_that_it_lists(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account(models=("claude-haiku-5-5", "agent_run"))

    await customer.hold(node, status=404)
    await customer.hold(node, operation="agent_run", quantity=1)


async def test_a_plain_user_sees_limits_and_no_amounts(served: Served) -> None:
    node = await served.gateway("a")
    customer = served.account(role="user", limits=Limits(requests_per_minute=9))

    shown = (await customer.get(node, "/v1/limits")).json()
    answer = await customer.post(node, "/v1/usage", IMAGE, key="key-1")

    assert shown["amounts"] is None
    assert [(one["name"], one["limit"], one["remaining"]) for one in shown["limits"]] == [("requests_per_minute", 9, 9)]
    assert "faregate-balance" not in answer.headers


async def test_a_hold_says_when_it_expires(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account()
    before = served.clock.now()

    hold = await customer.hold(node, expires_in_s=120)

    found = (await customer.get(node, f"/v1/holds/{hold['id']}")).json()
    assert found == hold
    assert before + timedelta(seconds=119) < served.clock.now() + timedelta(seconds=120)
