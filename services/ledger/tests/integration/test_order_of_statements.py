"""In which order a transaction claims, locks, reads and writes (money.md 17)."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from factories import Factory
from harness import Ledger
from sqlalchemy import event

from contracts.auth import AccountChanged
from contracts.terms import Budget
from kit.ids import fact_id, uuid7

NewAccount = Callable[[], Awaitable[UUID]]


@pytest.fixture
async def statements(ledger: Ledger) -> list[str]:
    """What connections opened from now on are asked, in order."""
    asked: list[str] = []
    await ledger.database.engine.dispose()

    @event.listens_for(ledger.database.engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.driver_connection.add_query_logger(lambda record: asked.append(" ".join(record.query.split())))

    return asked


def first(statements: list[str], *words: str) -> int:
    return next(at for at, statement in enumerate(statements) if all(word in statement for word in words))


async def test_a_batch_claims_its_calls_then_locks_accounts_then_reads_grants_then_writes(
    ledger: Ledger, make: Factory, account: NewAccount, statements: list[str]
) -> None:
    accounts = [await account() for _ in range(3)]
    statements.clear()

    await ledger.deliver(*(make.usage(account_id) for account_id in reversed(accounts)))

    claim = first(statements, "INSERT INTO charge", "ORDER BY id", "ON CONFLICT DO NOTHING")
    lock = first(statements, "FROM account", "ORDER BY id FOR UPDATE")
    grants = first(statements, 'FROM "grant"')
    burnt = first(statements, 'UPDATE "grant"')
    moved = first(statements, "UPDATE account")
    assert claim < lock < grants < min(burnt, moved)
    assert "grant" not in statements[lock], "what is joined to a locked row is stale"
    assert not [one for one in statements[:claim] if "FOR UPDATE" in one]


async def test_calls_are_claimed_in_order_of_their_ids_whatever_order_they_come_in(
    ledger: Ledger, make: Factory, account: NewAccount
) -> None:
    account_id = await account()
    calls = sorted((make.usage(account_id, id=uuid7(ledger.clock)) for _ in range(20)), key=lambda call: call.id)

    await ledger.deliver(*reversed(calls))

    rows = await ledger.rows("SELECT id FROM charge WHERE account_id = :id ORDER BY ctid", id=account_id)
    assert [row.id for row in rows] == [call.id for call in calls]


async def test_no_account_is_looked_up_twice_and_budgets_only_of_those_that_have_some(
    ledger: Ledger, make: Factory, account: NewAccount, statements: list[str]
) -> None:
    """What each account of a batch costs is what a service of a million accounts waits for."""
    plain, bounded = await account(), await account()
    await ledger.deliver(
        AccountChanged(
            id=fact_id("bounded", bounded),
            time=ledger.clock.now(),
            account_id=bounded,
            version=2,
            kind="personal",
            state="open",
            budgets=(Budget(window="day", limit_nano=10**12),),
        )
    )
    statements.clear()

    await ledger.deliver(make.usage(plain))
    read = [one for one in statements if one.startswith("SELECT") and ("FROM account" in one or "FROM budget" in one)]
    assert len(read) == 1
    assert "FOR UPDATE" in read[0]

    await ledger.deliver(make.usage(bounded))
    assert [one for one in statements if "FROM budget" in one]
    assert (await ledger.snapshots(bounded))[-1]["budgets"][0]["spent_nano"] != "0"
