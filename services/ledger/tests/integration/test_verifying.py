"""Whoever changes, removes or inserts a row behind the ledger's back is found, and the row is named (money.md 18, 22)."""

# ruff: noqa: E501, ISC004, S608  # statements in tables

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from factories import CREDIT, MODEL, Factory
from harness import Ledger

from kit.clock import ManualClock
from kit.database import Database
from ledger.domain.chain import GENESIS, extend
from ledger.domain.transfers import Transfer
from ledger.domain.verification import Report
from ledger.repository.rerating import Span
from ledger.service.catalogue import publish_book
from ledger.service.chaining import chain_older
from ledger.service.rerating import Rerating
from ledger.service.sealing import Sealing
from ledger.service.verifying import Verifying
from ledger.settings import SHIPPED_BOOK
from sandbox.stack import Stack

pytestmark = pytest.mark.long


class Books:
    """A few accounts with calls and seals, and somebody who may do anything to the rows."""

    def __init__(self, ledger: Ledger, make: Factory, intruder: asyncpg.Connection) -> None:
        self.ledger, self.make, self.intruder = ledger, make, intruder
        self.accounts: list[UUID] = []

    async def fill(self) -> None:
        await self.ledger.deliver(self.make.plan())
        self.accounts = sorted(uuid4() for _ in range(3))
        for account_id in self.accounts:
            await self.ledger.deliver(self.make.created(account_id), self.make.activated(account_id))
        for _ in range(3):
            await self.ledger.deliver(*(self.make.usage(one) for one in self.accounts))
        await self.ledger.deliver(self.make.settled(self.accounts[0]), self.make.usage(self.accounts[0], tokens=9))

    async def seal(self) -> int:
        self.ledger.clock.advance(timedelta(days=1).total_seconds())
        return await Sealing(self.ledger.database, self.ledger.clock).seal_due()

    async def tamper(self, statement: str, *values: Any) -> None:
        async with self.intruder.transaction():
            await self.intruder.execute("SET LOCAL session_replication_role = replica")
            await self.intruder.execute(statement, *values)

    async def verify(self) -> Report:
        return await Verifying(self.ledger.database, span_accounts=1).verify_all()

    async def rerate(self, account_id: UUID) -> None:
        """The model becomes half as dear, from the beginning."""
        ledger, now = self.ledger, self.ledger.clock.now()
        shipped = SHIPPED_BOOK.read_text()
        start = shipped.index(f"[models.{MODEL}]")
        text = shipped[:start] + shipped[start:].replace('input = "3"', 'input = "1.5"', 1)
        async with ledger.database.transaction() as session:
            book = await publish_book(session, text, now=now, effective_at=now + timedelta(minutes=6))
        span = Span(now - timedelta(days=9), now, account_id)
        await Rerating(ledger.database, ledger.catalogue, ledger.clock).book(span, version=book.version)

    async def call(self, account_id: UUID) -> UUID:
        call: UUID = await self.intruder.fetchval(
            "SELECT id FROM charge WHERE account_id = $1 ORDER BY id LIMIT 1", account_id
        )
        return call


@pytest.fixture
async def books(
    database_url: str, stack: Stack, clock: ManualClock, make: Factory, bare_ledger: Ledger
) -> AsyncIterator[Books]:
    name = database_url.rpartition("/")[2].partition("?")[0]
    intruder = await asyncpg.connect(stack.admin_url, database=name)
    books = Books(bare_ledger, make, intruder)
    await books.fill()
    assert await books.seal() == 3
    yield books
    await intruder.close()


async def test_whole_books_are_sound_and_counted(books: Books) -> None:
    report = await books.verify()

    assert (report.findings, report.is_sound, report.sums) == ([], True, {"credit": 0})
    assert (report.accounts, report.charges) == (3, 10)
    assert report.as_json()["sound"] is True


CHANGES: dict[str, tuple[str, str, str]] = {
    "a transfer changed": ("UPDATE transfer SET amount = amount + 1 WHERE account_id = $1 AND seq = 2", "chain", "transfer 2"),
    "a transfer's time changed": (
        "UPDATE transfer SET effective_at = effective_at - interval '1 day' WHERE account_id = $1 AND seq = 3",
        "chain",
        "transfer 3",
    ),
    "a transfer removed": ("DELETE FROM transfer WHERE account_id = $1 AND seq = 2", "chain", "transfer 3"),
    "the newest transfer removed": (
        "DELETE FROM transfer AS t USING account AS a WHERE a.id = $1 AND t.account_id = a.id AND t.seq = a.transfer_seq",
        "head",
        "account",
    ),
    "a transfer inserted": (
        "INSERT INTO transfer SELECT account_id, seq + 1, source, target, unit, amount, kind, charge_id, grant_id, reference,"
        " balance_after, booked_at, effective_at, hash FROM transfer WHERE account_id = $1 ORDER BY seq DESC LIMIT 1",
        "chain",
        "transfer",
    ),
    "a grant's rest changed": ('UPDATE "grant" SET remaining = remaining + 5 WHERE account_id = $1', "grant", "grant"),
    "a grant removed": ('DELETE FROM "grant" WHERE account_id = $1', "grant", "grant"),
    "a grant inserted": (
        'INSERT INTO "grant" (id, account_id, source, unit, amount, remaining, priority, starts_at, rule, period,'
        " created_at) VALUES (gen_random_uuid(), $1, 'promo', 'credit', 7, 7, 1, now(), 'r', 'p', now())",
        "grant",
        "grant",
    ),
    "debt changed": ("UPDATE account SET debt_nano = debt_nano + 5 WHERE id = $1", "debt", "account"),
    "a head changed": ("UPDATE account SET head = sha256(head) WHERE id = $1", "head", "account"),
    "a sequence changed": ("UPDATE account SET transfer_seq = transfer_seq + 1 WHERE id = $1", "head", "account"),
    "an account removed": ("DELETE FROM account WHERE id = $1", "head", "account"),
    "a charge changed": ("UPDATE charge SET price_nano = price_nano + 1 WHERE account_id = $1", "charge", "charge"),
    "a charge's cost changed": ("UPDATE charge SET cost_nano = 0 WHERE account_id = $1", "charge", "charge"),
    "a charge removed": ("DELETE FROM charge WHERE account_id = $1", "charge", "charge"),
    "a charge inserted": (
        "INSERT INTO charge (id, account_id, digest, outcome, price_nano, cost_nano, unit, price_book_version, markup_bps,"
        " model, admitted_at, booked_at) VALUES (gen_random_uuid(), $1, '', 'completed', 0, 0, 'credit', 1, 0, 'm', now(), now())",
        "detail",
        "call",
    ),
    "usage detail changed": ("UPDATE usage_detail SET outcome = 'refused' WHERE account_id = $1", "detail", "call"),
    "usage detail removed": ("DELETE FROM usage_detail WHERE account_id = $1", "detail", "call"),
    "a day changed": ("UPDATE usage_day SET price_nano = price_nano - 1 WHERE account_id = $1", "day", "day"),
    "a day removed": ("DELETE FROM usage_day WHERE account_id = $1", "day", "day"),
    "a seal changed": ("UPDATE sealed_head SET hash = sha256(hash) WHERE account_id = $1", "seal", "seal"),
    "a seal moved": ("UPDATE sealed_head SET sequence = sequence + 100 WHERE account_id = $1", "seal", "seal"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
async def test_what_was_tampered_with_is_named(books: Books, name: str) -> None:
    statement, check, subject = CHANGES[name]
    victim = books.accounts[1]

    await books.tamper(statement, victim)

    report = await books.verify()
    assert not report.is_sound
    found = [one for one in report.findings if one.check == check]
    assert found, report.findings
    assert all(one.account_id == victim for one in report.findings)
    assert any(one.subject.startswith(subject) for one in found), found
    alone = await Verifying(books.ledger.database).verify_account(victim)
    assert alone.found == report.found
    others = [await Verifying(books.ledger.database).verify_account(one) for one in books.accounts if one != victim]
    assert all(one.is_sound for one in others)


async def test_one_call_under_two_accounts_is_named(books: Books) -> None:
    call = await books.call(books.accounts[1])

    await books.tamper("UPDATE charge SET account_id = $1 WHERE id = $2", books.accounts[0], call)
    assert (await books.verify()).found["twice"] == 0
    await books.tamper(
        "INSERT INTO charge SELECT id, $1, digest, outcome, price_nano, cost_nano, unit, price_book_version, plan_id,"
        " plan_version, markup_bps, model, admitted_at, booked_at FROM charge WHERE id = $2",
        books.accounts[1],
        call,
    )

    (found,) = [one for one in (await books.verify()).findings if one.check == "twice"]
    assert str(found) == f"call {call} stands under 2 accounts"


async def test_a_chain_that_was_made_anew_is_found_by_its_seal(books: Books) -> None:
    """Whoever can write everything can make a chain that agrees with itself, but not what was sealed before."""
    victim = books.accounts[1]
    rows = await books.intruder.fetch(
        f"SELECT {', '.join(Transfer._fields)} FROM transfer WHERE account_id = $1 ORDER BY seq", victim
    )
    transfers = [Transfer(*row) for row in rows]
    transfers[0] = transfers[0]._replace(effective_at=transfers[0].effective_at - timedelta(days=9))
    hashes = extend(GENESIS, transfers)
    await books.tamper(
        "UPDATE transfer AS t SET hash = n.hash, effective_at = CASE t.seq WHEN 1 THEN $4 ELSE t.effective_at END"
        " FROM unnest($2::bigint[], $3::bytea[]) AS n(seq, hash) WHERE t.account_id = $1 AND t.seq = n.seq",
        victim,
        [one.seq for one in transfers],
        hashes,
        transfers[0].effective_at,
    )
    await books.tamper("UPDATE account SET head = $2 WHERE id = $1", victim, hashes[-1])

    report = await books.verify()

    assert [one.check for one in report.findings] == ["seal"]
    assert report.findings[0].account_id == victim


REFUSED = [
    "UPDATE transfer SET amount = 2",
    "UPDATE transfer SET hash = NULL",
    "DELETE FROM transfer",
    "TRUNCATE transfer",
    "UPDATE charge SET price_nano = 1",
    "DELETE FROM charge",
    "TRUNCATE charge",
    "UPDATE sealed_head SET sequence = 1",
    "DELETE FROM sealed_head",
]


@pytest.mark.parametrize("statement", REFUSED)
async def test_not_even_the_owner_changes_what_is_booked_by_mistake(
    books: Books, owner_url: str, statement: str
) -> None:
    connection = await asyncpg.connect(owner_url)
    try:
        with pytest.raises(asyncpg.exceptions.RestrictViolationError, match="only ever inserted"):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_services_own_role_may_not_change_what_is_booked(books: Books, database_url: str) -> None:
    """By privilege: a trigger that somebody dropped would change nothing."""
    written = [*REFUSED, *FORBIDDEN]
    await books.intruder.execute("ALTER TABLE transfer DISABLE TRIGGER ALL")
    connection = await asyncpg.connect(database_url)
    try:
        for statement in written:
            with pytest.raises(asyncpg.exceptions.InsufficientPrivilegeError):
                await connection.execute(statement)
        part = await connection.fetchval("SELECT relid::text FROM pg_partition_tree('charge') WHERE isleaf LIMIT 1")
        for statement in (f"UPDATE {part} SET price_nano = 1", f"DELETE FROM {part}", f"DROP TABLE {part}"):
            with pytest.raises(asyncpg.exceptions.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
    assert (await books.verify()).is_sound


FORBIDDEN = [
    "DELETE FROM charge_correction",
    "UPDATE charge_correction SET n = 9",
    "DELETE FROM audit_record",
    "UPDATE audit_record SET action = ''",
    "UPDATE adjustment SET reason = ''",
    "DELETE FROM account",
    'DELETE FROM "grant"',
    "ALTER TABLE transfer DISABLE TRIGGER transfer_is_final",
    "DROP TRIGGER charge_stands ON charge",
    "CREATE TABLE mine (id integer)",
    "UPDATE alembic_version SET version_num = 'x'",
]


async def test_the_functions_that_change_a_charge_change_no_other(books: Books, database_url: str) -> None:
    """Only the transaction that claimed a call says in what it was paid, and only an orphan is replaced."""
    account, call = books.accounts[0], await books.call(books.accounts[0])
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "SELECT settle_charges(ARRAY[$1::uuid], ARRAY[$2::uuid], '{7}', '{7}', '{7}', '{7}', '{7}')", account, call
    )
    await connection.execute(
        "SELECT replace_orphans(ARRAY[$1::uuid], ARRAY[$2::uuid], '{x}', '{completed}', '{7}', '{7}', '{1}', '{p}',"
        " '{1}', '{0}', '{m}', ARRAY[now()], now())",
        account,
        call,
    )
    await connection.execute("SELECT link_transfers($1, '{1}', '{x}')", account)
    await connection.close()

    assert (await books.verify()).is_sound


CORRECTED: dict[str, tuple[str, str]] = {
    "its price": ("UPDATE charge_correction SET price_nano = price_nano + 1", "correction 1"),
    "its cost": ("UPDATE charge_correction SET cost_nano = cost_nano - 1", "correction 1"),
    "its number": ("UPDATE charge_correction SET n = 2", "correction 2"),
    "its transfers": ("UPDATE charge_correction SET last_seq = last_seq - 1", "correction 1"),
    "itself": ("DELETE FROM charge_correction", "transfer"),
}


async def test_a_correction_that_was_tampered_with_is_named(books: Books) -> None:
    await books.rerate(books.accounts[1])
    assert (await books.verify()).findings == []
    for statement, subject in CORRECTED.values():
        await books.intruder.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM charge_correction")
        await books.tamper(f"{statement} WHERE account_id = $1", books.accounts[1])

        found = [one for one in (await books.verify()).findings if one.check == "correction"]

        assert any(one.subject.startswith(subject) for one in found), (statement, found)
        await books.tamper("DELETE FROM charge_correction WHERE account_id = $1", books.accounts[1])
        await books.intruder.execute("INSERT INTO charge_correction SELECT * FROM kept")
        await books.intruder.execute("DROP TABLE kept")
    assert (await books.verify()).is_sound


async def test_transfers_from_before_the_chain_are_hashed_by_command_and_when_their_account_is_booked_to(
    books: Books,
) -> None:
    whole = await books.intruder.fetch("SELECT account_id, seq, hash FROM transfer ORDER BY account_id, seq")
    await books.tamper("UPDATE transfer SET hash = NULL")
    await books.tamper("UPDATE account SET head = NULL")
    assert (await books.verify()).found["chain"] == len(whole)

    await books.ledger.deliver(books.make.usage(books.accounts[0]))
    assert await chain_older(books.ledger.database) == 2
    assert await chain_older(books.ledger.database) == 0

    now = await books.intruder.fetch("SELECT account_id, seq, hash FROM transfer ORDER BY account_id, seq")
    assert set(map(tuple, whole)) < set(map(tuple, now))
    assert (await books.verify()).is_sound


async def test_heads_are_sealed_once_a_day_and_only_where_something_moved(books: Books) -> None:
    assert await Sealing(books.ledger.database, books.ledger.clock).seal_due() == 0
    await books.ledger.deliver(books.make.usage(books.accounts[2]))

    assert await books.seal() == 1
    assert await books.seal() == 0

    sealed = await books.ledger.sent("ledger.head-sealed.v1", books.accounts[2])
    row = await books.intruder.fetchrow("SELECT transfer_seq, head FROM account WHERE id = $1", books.accounts[2])
    assert sealed[-1]["sequence"] == str(row["transfer_seq"])
    assert sealed[-1]["hash_hex"] == row["head"].hex()
    assert int(sealed[-1]["balance_nano"]) == await books.ledger.available(books.accounts[2]) < 5 * CREDIT
    assert [one["version"] for one in sealed] == sorted({one["version"] for one in sealed})


async def test_days_that_nobody_sealed_are_caught_up_with_the_head_of_each(books: Books) -> None:
    account_id, heads = books.accounts[2], []
    for _ in range(3):
        await books.ledger.deliver(books.make.usage(account_id))
        heads.append(await books.intruder.fetchval("SELECT head FROM account WHERE id = $1", account_id))
        books.ledger.clock.advance(timedelta(days=1).total_seconds())

    assert await Sealing(books.ledger.database, books.ledger.clock).seal_due() == 3

    rows = await books.intruder.fetch("SELECT hash FROM sealed_head WHERE account_id = $1 ORDER BY day", account_id)
    assert [row["hash"] for row in rows[1:]] == heads


async def test_two_sealers_at_once_seal_each_head_once(books: Books, database_url: str) -> None:
    await books.ledger.deliver(*(books.make.usage(one) for one in books.accounts))
    books.ledger.clock.advance(timedelta(days=1).total_seconds())
    other = Database(database_url, source="ledger")

    sealed = await asyncio.gather(
        *(Sealing(one, books.ledger.clock).seal_due() for one in (books.ledger.database, other))
    )

    await other.close()
    assert sum(sealed) == 3
