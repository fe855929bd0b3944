"""Customers' own operations in the books: priced by the stamped version, once per idempotency key."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import orjson
import pytest
from factories import CREDIT, Factory, allocated
from harness import Ledger

from contracts.gateway import Counts, Operation, UsageRecorded
from kit.ids import uuid7
from ledger.entrypoints import views

NewAccount = Callable[[], Awaitable[UUID]]
# An image: 0.04 and 15 % markup; it costs 0.03.
IMAGE_NANO, IMAGE_COST_NANO = 46_000_000, 30_000_000
TRIAL_NANO = 5 * CREDIT


def operation(make: Factory, account_id: UUID, **more: Any) -> UsageRecorded:
    body = hashlib.sha256(more.pop("body", "a body").encode()).hexdigest()
    values = {"name": "image", "quantity": 2, "unit": "image", "idempotency_key": "key-1", "body_sha256": body}
    for name in values.keys() & more.keys():
        values[name] = more.pop(name)
    return make.usage(
        account_id,
        **{
            "surface": "/v1/usage",
            "streamed": False,
            "model_asked": values["name"],
            "model_served": None,
            "route": "operation",
            "counts": Counts(),
            "operation": Operation(**values),
            **more,
        },
    )


async def charges(ledger: Ledger, account_id: UUID) -> list[tuple[str, int, int, str]]:
    query = "SELECT outcome, price_nano, cost_nano, model FROM charge WHERE account_id = :id ORDER BY id"
    return [tuple(row) for row in await ledger.rows(query, id=account_id)]


async def set_aside(ledger: Ledger, event: UsageRecorded) -> list[str]:
    """Why the DLQ got this event."""
    rows = await ledger.rows("SELECT value FROM outbox WHERE topic = 'gateway.usage-recorded.v1.dlq' ORDER BY id")
    records = [orjson.loads(row.value) for row in rows]
    return [one["reason"] for one in records if event.encode("test") == base64.b64decode(one["value"])]


def two_operations(make: Factory, account_id: UUID) -> list[UsageRecorded]:
    """With one key and one body, the earlier id first."""
    return sorted((operation(make, account_id) for _ in range(2)), key=lambda event: event.id.int)


async def test_an_operation_is_charged_at_the_stamped_version_with_its_cost_beside(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()

    await ledger.deliver(operation(make, account_id))

    assert await charges(ledger, account_id) == [("completed", 2 * IMAGE_NANO, 2 * IMAGE_COST_NANO, "image")]
    assert await ledger.available(account_id) == TRIAL_NANO - 2 * IMAGE_NANO


async def test_an_operation_burns_inside_its_allocation(ledger: Ledger, make: Factory, account: NewAccount) -> None:
    account_id = await account()
    await ledger.deliver(make.settled(account_id))
    bought = max((await ledger.balance(account_id)).grants, key=lambda grant: grant.amount)

    await ledger.deliver(operation(make, account_id, quantity=1, allocation=allocated(bought.id, IMAGE_NANO)))

    left = {grant.id: grant.remaining for grant in (await ledger.balance(account_id)).grants}
    assert left[bought.id] == 10 * CREDIT - IMAGE_NANO


async def test_a_repeated_key_books_zero_as_duplicate_and_says_of_what(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    first, again = two_operations(make, account_id)

    await ledger.deliver(first)
    await ledger.deliver(again, again)

    assert [row[:3] for row in await charges(ledger, account_id)] == [
        ("completed", 2 * IMAGE_NANO, 2 * IMAGE_COST_NANO),
        ("duplicate", 0, 0),
    ]
    assert await ledger.available(account_id) == TRIAL_NANO - 2 * IMAGE_NANO
    async with ledger.database.reading() as session:
        found = await ledger.reading.explain(session, account_id, again.id, user_id=None)
    explained = views.explained(found, for_operator=False)
    assert explained.outcome == "duplicate"
    assert explained.operation is not None
    assert explained.operation.duplicate_of == first.id
    assert (explained.price_credits, explained.lines, explained.grants) == ("0", [], [])
    assert not await set_aside(ledger, again)


async def test_of_two_with_one_key_in_one_batch_the_earlier_id_is_charged_and_both_are_confirmed(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    earlier, later = two_operations(make, account_id)

    await ledger.deliver(later, earlier)

    assert [row[0] for row in await charges(ledger, account_id)] == ["completed", "duplicate"]
    assert set((await ledger.snapshots(account_id))[-1]["applied"]) == {str(earlier.id), str(later.id)}


async def test_another_body_under_the_same_key_is_set_aside_unbooked_and_its_hold_goes(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    other = operation(make, account_id, body="another body", quantity=9)
    await ledger.deliver(operation(make, account_id))

    await ledger.deliver(other)

    assert len(await charges(ledger, account_id)) == 1
    assert await set_aside(ledger, other) == ["the idempotency key came before with another body"]
    assert (await ledger.snapshots(account_id))[-1]["applied"] == [str(other.id)]


@pytest.mark.parametrize(
    ("account_differs", "more"),
    [(True, {}), (False, {"surface": "/v1/holds"}), (False, {"idempotency_key": "key-2"})],
    ids=["account", "route", "key"],
)
async def test_a_key_is_unique_per_account_route_and_key(
    ledger: Ledger, make: Factory, account: NewAccount, *, account_differs: bool, more: dict[str, str]
) -> None:
    first = await account()
    second = await account() if account_differs else first

    await ledger.deliver(operation(make, first), operation(make, second, **more))

    booked = await charges(ledger, first) + (await charges(ledger, second) if account_differs else [])
    assert [row[0] for row in booked] == ["completed", "completed"]


async def test_two_gateways_that_tell_the_same_end_at_two_moments_are_no_alarm(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    told = operation(make, account_id)
    again = told.model_copy(update={"gateway_instance": "gateway-2", "allocation": ()})

    await ledger.deliver(told)
    await ledger.deliver(again)
    await ledger.deliver(operation(make, account_id, id=(both := uuid7(ledger.clock)), idempotency_key="b"))

    assert len(await charges(ledger, account_id)) == 2
    assert not await set_aside(ledger, again)
    assert both in {row.id for row in await ledger.rows("SELECT id FROM charge WHERE account_id = :id", id=account_id)}


async def test_two_ends_of_one_hold_that_differ_are_an_alarm_and_the_first_stands(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    told = operation(make, account_id)
    other = operation(make, account_id, id=told.id, quantity=1)

    await ledger.deliver(told)
    await ledger.deliver(other)

    assert await charges(ledger, account_id) == [("completed", 2 * IMAGE_NANO, 2 * IMAGE_COST_NANO, "image")]
    assert await set_aside(ledger, other) == ["same id, other content"]


async def test_an_expired_hold_that_was_confirmed_after_all_is_charged_once(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 14): the orphan is provisional, and claims no key."""
    account_id = await account()
    confirmed = operation(make, account_id, surface="/v1/holds")
    orphan = confirmed.model_copy(update={"outcome": "orphaned", "basis": "none"})

    await ledger.deliver(orphan)
    assert await charges(ledger, account_id) == [("orphaned", 0, 0, "image")]
    await ledger.deliver(confirmed)
    await ledger.deliver(orphan, confirmed)

    assert await charges(ledger, account_id) == [("completed", 2 * IMAGE_NANO, 2 * IMAGE_COST_NANO, "image")]
    assert await ledger.available(account_id) == TRIAL_NANO - 2 * IMAGE_NANO


async def test_a_released_hold_is_booked_at_zero_and_keeps_its_key(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    released = operation(make, account_id, quantity=0)

    await ledger.deliver(released)
    await ledger.deliver(operation(make, account_id))

    assert sorted(row[:2] for row in await charges(ledger, account_id)) == [("completed", 0), ("duplicate", 0)]


async def test_an_operation_that_no_book_prices_yet_waits_and_is_never_free(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    event = operation(make, account_id, name="telepathy")

    await ledger.deliver(event)

    assert await charges(ledger, account_id) == []
    assert await ledger.rows("SELECT 1 FROM parked WHERE referent = 'price:telepathy'")


async def test_an_operation_is_explained_by_its_unit_price(ledger: Ledger, make: Factory, account: NewAccount) -> None:
    account_id = await account()
    event = operation(make, account_id)
    await ledger.deliver(event)

    async with ledger.database.reading() as session:
        found = await ledger.reading.explain(session, account_id, event.id, user_id=None)
    explained = orjson.loads(views.explained(found, for_operator=True).model_dump_json())

    assert explained["price_credits"] == "0.092"
    assert explained["cost_credits"] == "0.06"
    assert explained["operation"] == {
        "name": "image",
        "quantity": 2,
        "unit": "image",
        "idempotency_key": "key-1",
        "duplicate_of": None,
    }
    assert [(line["kind"], line["quantity"], line["unit_price_credits"]) for line in explained["lines"]] == [
        ("operation", 2, "0.04")
    ]


async def test_two_consumers_with_one_key_at_once_charge_it_once(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()

    await asyncio.gather(*(ledger.deliver(operation(make, account_id)) for _ in range(6)))

    outcomes = [row[0] for row in await charges(ledger, account_id)]
    assert sorted(outcomes) == ["completed", *["duplicate"] * 5]
    assert await ledger.available(account_id) == TRIAL_NANO - 2 * IMAGE_NANO
