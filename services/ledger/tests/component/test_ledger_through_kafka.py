"""The ledger on Kafka: nothing lost, nothing twice, whoever consumes and whoever is killed."""

import random
import signal
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from factories import CALL_NANO, CREDIT

from kit.metrics import CONFLICTS
from ledger.adapters.positions import UsagePositions
from ledger.errors import BehindError

Published = Callable[..., Awaitable[list[dict[str, Any]]]]

pytestmark = pytest.mark.long


async def test_the_story_from_activation_to_a_charge_reaches_the_gateways(running: Any, published: Published) -> None:
    account_id = await running.new_account()
    call = running.make.usage(account_id)
    await running.send(call)
    await running.booked(call.id)

    def is_confirmed(data: dict[str, Any]) -> bool:
        return data["account_id"] == str(account_id) and str(call.id) in data["applied"]

    (snapshot,) = await published("ledger.balance-changed.v1", matching=is_confirmed)
    assert snapshot["slices"][0]["amount"] == str(5 * CREDIT - CALL_NANO)
    (book, *_) = await published("ledger.price-book-published.v1", matching=lambda data: data["version"] == 1)
    assert book["book"]["markup_bps"] == 1500


async def test_a_call_three_times_in_other_orders_and_by_two_consumers_is_charged_once(running: Any) -> None:
    """(money.md 17, 18)."""
    accounts = [await running.new_account() for _ in range(3)]
    calls = [running.make.usage(account_id) for account_id in accounts for _ in range(100)]
    with running.process():
        for seed in range(3):
            await running.send(*random.Random(seed).sample(calls, len(calls)))
        await running.booked(*(call.id for call in calls))
        tail = [running.make.usage(account_id) for account_id in accounts]
        await running.send(*tail)
        await running.booked(*(call.id for call in tail))

    rows = await running.connection.fetch("SELECT sum(price_nano)::bigint AS paid FROM charge GROUP BY account_id")
    assert [row["paid"] for row in rows] == [101 * CALL_NANO] * 3
    balances = await running.get("/ledger/operator/books", token=running.operator())
    assert balances.json()["balanced"] is True


async def test_other_content_and_broken_records_go_to_the_dlq_and_the_rest_is_applied(
    running: Any, published: Published
) -> None:
    """(money.md 15)."""
    account_id = await running.new_account()
    call, neighbour = running.make.usage(account_id), running.make.usage(account_id)
    before = CONFLICTS.labels("ledger", call.type)._value.get()
    marker = uuid4().hex.encode()

    await running.send(call)
    await running.send_raw(call.type, str(account_id).encode(), b"{broken " + marker)
    await running.send(call.model_copy(update={"model_served": "claude-haiku-4-5"}), neighbour)
    await running.booked(call.id, neighbour.id)

    reasons = {
        one["reason"]
        for one in await published(f"{call.type}.dlq", matching=lambda data: data["origin"]["topic"] == call.type)
    }
    assert "same id, other content" in reasons
    assert any(reason.startswith("not JSON") for reason in reasons)
    assert CONFLICTS.labels("ledger", call.type)._value.get() == before + 1
    (charge,) = await running.connection.fetch("SELECT model FROM charge WHERE id = $1", call.id)
    assert charge["model"] == "claude-sonnet-4-5"


async def test_a_snapshot_is_refused_while_the_ledger_is_behind(prepared: Any) -> None:
    """(money.md 29)."""
    account_id = uuid4()
    await prepared.send(prepared.make.usage(account_id))
    positions = UsagePositions(prepared.stack.kafka_bootstrap, group="ledger")

    with pytest.raises(BehindError) as caught:
        await positions.wait_applied(account_id)
    await positions.close()
    assert caught.value.retry_after_s == 1


@pytest.mark.timeout(180)
async def test_a_ledger_killed_in_the_middle_of_its_work_loses_and_doubles_nothing(prepared: Any) -> None:
    """(money.md 17, 18)."""
    make, accounts = prepared.make, [uuid4() for _ in range(20)]
    calls = [make.usage(account_id) for _ in range(300) for account_id in accounts]
    await prepared.send(make.plan(), *(make.created(a) for a in accounts), *(make.activated(a) for a in accounts))

    with prepared.process():
        await prepared.until("SELECT count(activated_at) = 20 FROM account")
    for kill in range(2):
        with prepared.process() as process:
            goal = kill * 2500 + 1
            await prepared.send(*calls[kill * 3000 : (kill + 1) * 3000])
            await prepared.until("SELECT count(*) >= $1 FROM charge", goal)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
    with prepared.process():
        await prepared.until("SELECT count(*) = 6000 FROM charge")

        # Nothing of it comes again: the next calls find the same balances.
        last = [make.usage(account_id) for account_id in accounts]
        await prepared.send(*last)
        await prepared.booked(*(call.id for call in last))
        await prepared.until("SELECT count(*) = 0 FROM outbox")

    rows = await prepared.connection.fetch(
        """SELECT (SELECT sum(remaining) FROM "grant" g WHERE g.account_id = a.id)::bigint AS remaining,
           (SELECT count(*) FROM transfer t WHERE t.account_id = a.id AND kind = 'deduction') AS burnt FROM account a"""
    )
    assert {(row["remaining"], row["burnt"]) for row in rows} == {(5 * CREDIT - 301 * CALL_NANO, 301)}
