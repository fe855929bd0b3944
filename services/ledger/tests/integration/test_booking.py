"""Usage events become charges, each once, whatever comes in whatever order."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

from factories import CALL_NANO, CREDIT, MODEL, Factory, allocated
from harness import Ledger

from contracts.gateway import Counts, UsageRecorded
from kit.clock import ManualClock
from kit.metrics import CONFLICTS

NewAccount = Callable[[], Awaitable[UUID]]
DLQ = "gateway.usage-recorded.v1.dlq"


async def test_a_call_is_charged_at_the_stamped_price_and_confirmed(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 6, 19)."""
    account_id = await account()
    call = make.usage(account_id)

    await ledger.deliver(call)

    assert await ledger.available(account_id) == 5 * CREDIT - CALL_NANO
    (charge,) = await ledger.rows("SELECT * FROM charge WHERE account_id = :id", id=account_id)
    assert (charge.price_nano, charge.cost_nano, charge.price_book_version, charge.markup_bps, charge.model) == (
        CALL_NANO,
        3_000_000,
        1,
        1500,
        MODEL,
    )
    last = (await ledger.snapshots(account_id))[-1]
    assert last["applied"] == [str(call.id)]


async def test_one_call_in_any_number_of_batches_and_orders_is_one_charge(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 18)."""
    account_id = await account()
    calls = [make.usage(account_id) for _ in range(5)]

    await ledger.deliver(*calls, *calls)
    await ledger.deliver(*reversed(calls))
    await ledger.deliver(calls[2])

    assert await ledger.available(account_id) == 5 * CREDIT - 5 * CALL_NANO
    assert (await ledger.snapshots(account_id))[-1]["applied"] == [str(calls[2].id)]


async def test_a_second_consumer_at_the_same_time_charges_nothing_twice(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 17, 18)."""
    accounts = [await account() for _ in range(4)]
    calls = [make.usage(account_id) for account_id in accounts for _ in range(25)]
    twin = Ledger(ledger.database, ledger.clock)

    async def deliver(consumer: Ledger, seed: int) -> None:
        shuffled = random.Random(seed).sample(calls, len(calls))
        for start in range(0, len(shuffled), 20):
            await consumer.deliver(*shuffled[start : start + 20])

    await asyncio.gather(deliver(ledger, 1), deliver(twin, 2))

    for account_id in accounts:
        assert await ledger.available(account_id) == 5 * CREDIT - 25 * CALL_NANO
        versions = sorted(one["version"] for one in await ledger.snapshots(account_id))
        assert versions == list(range(1, len(versions) + 1))


async def test_the_same_id_with_other_content_is_an_alarm_and_the_first_stands(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 15)."""
    account_id = await account()
    call = make.usage(account_id)
    other = call.model_copy(update={"counts": Counts(input_tokens=5)})
    before = CONFLICTS.labels("ledger", "gateway.usage-recorded.v1")._value.get()
    aside = len(await ledger.rows("SELECT 1 FROM outbox WHERE topic = :topic", topic=DLQ))

    await ledger.deliver(call)
    await ledger.deliver(other)
    await ledger.deliver(call, other)

    assert await ledger.available(account_id) == 5 * CREDIT - CALL_NANO
    assert CONFLICTS.labels("ledger", "gateway.usage-recorded.v1")._value.get() == before + 2
    assert len(await ledger.rows("SELECT 1 FROM outbox WHERE topic = :topic", topic=DLQ)) == aside + 2


async def test_the_real_end_after_an_orphan_report_charges_once(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 14)."""
    account_id = await account()
    call = make.usage(account_id)

    await ledger.deliver(make.orphaned(call))
    assert await ledger.available(account_id) == 5 * CREDIT
    assert (await ledger.snapshots(account_id))[-1]["applied"] == [str(call.id)]

    await ledger.deliver(call)
    await ledger.deliver(make.orphaned(call), call)

    assert await ledger.available(account_id) == 5 * CREDIT - CALL_NANO
    (detail,) = await ledger.rows("SELECT * FROM usage_detail WHERE account_id = :id", id=account_id)
    assert detail.outcome == "completed"


async def test_an_orphan_report_after_the_real_end_is_passed_over(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 14)."""
    account_id = await account()
    calls = [make.usage(account_id) for _ in range(3)]

    await ledger.deliver(calls[0], make.orphaned(calls[0]), make.orphaned(calls[1]), calls[1], calls[2])
    await ledger.deliver(*map(make.orphaned, calls))

    assert await ledger.available(account_id) == 5 * CREDIT - 3 * CALL_NANO
    rows = await ledger.rows("SELECT outcome FROM charge WHERE account_id = :id", id=account_id)
    assert [row.outcome for row in rows] == ["completed"] * 3


async def test_an_orphan_that_cost_something_is_goodwill_until_it_ends(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 13, 14)."""
    account_id = await account()
    call = make.usage(account_id)
    await ledger.deliver(call.model_copy(update={"outcome": "orphaned"}))
    query = "SELECT source, target, amount FROM transfer WHERE charge_id = :id ORDER BY seq"
    assert [tuple(row) for row in await ledger.rows(query, id=call.id)] == [("goodwill", "provider", 3_000_000)]

    await ledger.deliver(call)

    moves = [(row.source.split(":")[0], row.target.split(":")[0]) for row in await ledger.rows(query, id=call.id)]
    assert moves == [("goodwill", "provider"), ("provider", "goodwill"), ("grant", "revenue"), ("cost", "provider")]


async def test_free_calls_are_booked_and_confirmed_at_nothing(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 13)."""
    account_id = await account()
    failed = make.usage(
        account_id, tokens=0, outcome="upstream_error", basis="none", model_asked="no-such-model", model_served=None
    )
    refused = make.usage(account_id, outcome="refused")

    await ledger.deliver(failed, refused)

    assert await ledger.available(account_id) == 5 * CREDIT
    rows = await ledger.rows("SELECT price_nano FROM charge WHERE account_id = :id", id=account_id)
    assert [row.price_nano for row in rows] == [0, 0]
    assert set((await ledger.snapshots(account_id))[-1]["applied"]) == {str(failed.id), str(refused.id)}


async def test_a_call_of_an_unknown_account_waits_for_it(ledger: Ledger, make: Factory) -> None:
    """(money.md 24)."""
    account_id = uuid4()
    await ledger.deliver(make.usage(account_id))
    await ledger.deliver(make.created(account_id), make.activated(account_id))

    assert await ledger.available(account_id) + await ledger.debt(account_id) > 0
    assert len(await ledger.rows("SELECT 1 FROM charge WHERE account_id = :id", id=account_id)) == 1


async def test_calls_of_unknown_accounts_wait_and_keep_no_other_call_of_their_batch_waiting(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 17, 24)."""
    known, unknown = [await account() for _ in range(3)], [uuid4() for _ in range(2)]
    before = [make.usage(account_id) for account_id in known]
    await ledger.deliver(*before[:1])
    calls = [make.usage(account_id) for account_id in (*known, *unknown, *unknown)]

    await ledger.deliver(*calls, *before, calls[-1])

    charged = await ledger.rows("SELECT account_id FROM charge WHERE account_id = ANY(:ids)", ids=[*known, *unknown])
    assert Counter(row.account_id for row in charged) == dict.fromkeys(known, 2)
    for account_id in known:
        assert await ledger.available(account_id) == 5 * CREDIT - 2 * CALL_NANO
    await ledger.deliver(*(event for one in unknown for event in (make.created(one), make.activated(one))))
    charged = await ledger.rows("SELECT id FROM charge WHERE account_id = ANY(:ids)", ids=unknown)
    assert {row.id for row in charged} == {call.id for call in calls[3:]}
    assert len(charged) == 4


async def test_a_call_of_an_unknown_price_book_version_waits_for_it(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 19, 24)."""
    account_id = await account()
    await ledger.deliver(make.usage(account_id, price_book_version=9))

    rows = await ledger.rows("SELECT referent FROM parked WHERE referent = 'price-book:9'")
    assert len(rows) >= 1
    assert await ledger.available(account_id) == 5 * CREDIT


async def test_an_orphan_report_and_the_real_end_that_wait_for_the_same_are_both_kept(
    bare_ledger: Ledger, make: Factory
) -> None:
    """(money.md 14, 24): they share an id, and only the real end costs."""
    account_id = uuid4()
    call = make.usage(account_id)
    await bare_ledger.deliver(make.orphaned(call))
    await bare_ledger.deliver(call)
    await bare_ledger.deliver(call)

    await bare_ledger.deliver(make.plan(), make.created(account_id), make.activated(account_id))

    (charge,) = await bare_ledger.rows("SELECT outcome, price_nano FROM charge")
    assert (charge.outcome, charge.price_nano) == ("completed", CALL_NANO)
    assert not await bare_ledger.rows("SELECT 1 FROM parked")
    assert (await bare_ledger.books()).balanced


async def test_a_call_of_a_model_without_a_price_waits_for_one(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 19, 24)."""
    account_id = await account()
    model = f"claude-unpriced-{account_id.hex}"
    await ledger.deliver(make.usage(account_id, model_served=model))

    assert await ledger.rows("SELECT 1 FROM parked WHERE referent = :referent", referent=f"price:{model}")
    assert await ledger.available(account_id) == 5 * CREDIT


async def test_a_malformed_record_goes_to_the_dlq_and_its_neighbours_are_applied(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()

    await ledger.deliver(make.usage(account_id), b"{not json", make.usage(account_id))

    assert await ledger.available(account_id) == 5 * CREDIT - 2 * CALL_NANO
    (*_, last) = await ledger.sent(DLQ)
    assert last["reason"].startswith("not JSON")
    assert last["origin"]["topic"] == "gateway.usage-recorded.v1"
    assert await ledger.sent("ledger.dlq-grew.v1")


async def test_what_was_allocated_burns_first_and_the_rest_in_order(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 9)."""
    account_id = await account()
    await ledger.deliver(make.settled(account_id))
    trial, bundle = (await ledger.balance(account_id)).grants
    assert (trial.source, bundle.source) == ("trial", "bundle")
    call = make.usage(account_id, allocation=allocated(bundle.id, CALL_NANO - 1000))

    await ledger.deliver(call)

    rows = await ledger.rows(
        "SELECT grant_id, amount FROM transfer WHERE charge_id = :id AND kind = 'deduction' ORDER BY seq", id=call.id
    )
    assert [tuple(row) for row in rows] == [(bundle.id, CALL_NANO - 1000), (trial.id, 1000)]


async def test_a_late_event_burns_what_was_valid_when_it_was_admitted(
    ledger: Ledger, make: Factory, clock: ManualClock, account: NewAccount
) -> None:
    """(money.md 1, 21)."""
    account_id = await account()
    call = make.usage(account_id)
    clock.advance(20 * 86_400)
    await ledger.deliver(make.settled(account_id))

    await ledger.deliver(call)

    assert await ledger.available(account_id) == 10 * CREDIT
    assert await ledger.debt(account_id) == 0


async def test_what_no_grant_covers_becomes_debt_and_the_next_payment_pays_it_first(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    tokens = 2_000_000
    price = tokens * 3450
    await ledger.deliver(make.usage(account_id, tokens=tokens))
    assert await ledger.available(account_id) == 0
    assert await ledger.debt(account_id) == price - 5 * CREDIT
    assert (await ledger.snapshots(account_id))[-1]["debt_nano"] == str(price - 5 * CREDIT)

    await ledger.deliver(make.settled(account_id))

    assert await ledger.debt(account_id) == 0
    assert await ledger.available(account_id) == 15 * CREDIT - price


async def test_each_threshold_is_reported_once_and_only_a_grant_arms_it_again(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    """(money.md 25)."""
    account_id = await account()

    async def reported() -> list[tuple[str, int]]:
        events = await ledger.sent("ledger.threshold-crossed.v1", account_id)
        return [(event["level"], event["arming"]) for event in events]

    def tokens_for(nano: int) -> UsageRecorded:
        return make.usage(account_id, tokens=nano // 3450)

    await ledger.deliver(tokens_for(3_700_000_000))
    assert await reported() == []
    await ledger.deliver(tokens_for(100_000_000))
    assert await reported() == [("percent_25", 1)]
    await ledger.deliver(make.usage(account_id, tokens=1))
    assert await reported() == [("percent_25", 1)]
    await ledger.deliver(tokens_for(1_190_000_000), tokens_for(8_000_000))
    assert await reported() == [("percent_25", 1), ("percent_10", 1), ("empty", 1)]

    await ledger.deliver(make.settled(account_id, 1 * CREDIT))
    assert (await ledger.snapshots(account_id))[-1]["arming"] == 2
    await ledger.deliver(tokens_for(1_000_000_000))

    assert (await reported())[3:] == [("percent_25", 2), ("percent_10", 2), ("empty", 2)]


async def test_any_schedule_leaves_balances_that_are_the_sums_of_their_transfers(
    ledger: Ledger, make: Factory, clock: ManualClock, account: NewAccount
) -> None:
    chance = random.Random(4)
    accounts = [await account() for _ in range(3)]
    past: list[UsageRecorded] = []
    for _ in range(40):
        account_id = chance.choice(accounts)
        batch: list[object] = [make.usage(account_id, tokens=chance.randrange(0, 600_000)) for _ in range(3)]
        past += batch
        batch += chance.sample(past, min(len(past), 2))
        if chance.random() < 0.3:
            batch.append(make.orphaned(chance.choice(past)))
        if chance.random() < 0.3:
            payment = make.settled(account_id, chance.randrange(1, 3 * CREDIT), valid_days=chance.choice([1, 30]))
            batch.append(payment)
            if chance.random() < 0.5:
                batch.append(make.reversed(payment, "refund", minor=chance.randrange(1, 1001)))
        chance.shuffle(batch)
        await ledger.deliver(*batch)
        if chance.random() < 0.2:
            await ledger.adjust(account_id, chance.choice([-CREDIT, CREDIT]), allow_debt=True)
        clock.advance(chance.randrange(1, 20_000))

    books = await ledger.books()
    assert books.balanced, books.differences
    assert books.sums["credit"] == 0
    # Apart from the check: what the customer was given and what was charged differ by what is left.
    for account_id in accounts:
        (row,) = await ledger.rows(
            """SELECT (SELECT coalesce(sum(remaining), 0) FROM "grant" WHERE account_id = :id) - a.debt_nano AS left,
               (SELECT sum(price_nano) FROM charge WHERE account_id = :id) AS charged,
               (SELECT sum(amount) FROM "grant" WHERE account_id = :id) AS given,
               (SELECT coalesce(sum(taken_amount + taken_debt), 0) FROM reversal WHERE account_id = :id) AS reversed,
               (SELECT coalesce(sum(amount_nano), 0) FROM adjustment WHERE account_id = :id AND amount_nano < 0) AS cut
               FROM account a WHERE id = :id""",
            id=account_id,
        )
        assert row.left == row.given - row.charged - row.reversed + row.cut
