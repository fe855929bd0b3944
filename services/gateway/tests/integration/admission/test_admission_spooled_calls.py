"""Ended calls whose events only a spool has: entered again where Redis lost them (money.md 29)."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from gateway.admission import AdmissionUnavailableError, Amounts


@dataclass(frozen=True)
class Spooled:
    account_id: UUID
    memo: bytes


@dataclass
class Spool:
    """A spool that is read in parts."""

    calls: list[Spooled] = field(default_factory=list)
    is_broken: bool = False

    async def read(self):
        for call in self.calls:
            if self.is_broken:
                raise OSError(5, "the disk is broken")
            yield [call, Spooled(call.account_id, b"")]

    def keep(self, admission, wish, price_nano: int) -> None:
        """As a call's end does it: the event goes to the spool before the call is settled."""
        self.calls.append(Spooled(wish.account_id, admission.memo(wish.call_id, Amounts(price_nano))))


async def lose(server):
    await server.kill()
    for file in server._folder.rglob("*"):
        if file.is_file():
            file.unlink()
    await server.start()


async def until(condition, *, within_s=10.0):
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110  # another connection's state
            await asyncio.sleep(0.02)


async def test_spooled_calls_are_entered_before_anything_is_admitted(own_redis, own_gateways, ledger, call):
    spool = Spool()
    admission = await own_gateways.make(patience_s=10_000, spooled=spool.read)
    key = UUID(int=7)
    books = ledger.open(100)
    for price_nano in (20, 30):
        wish = call(books.account_id, 40, api_key_id=key)
        await admission.admit(wish)
        spool.keep(admission, wish, price_nano)
        await admission.settle(account_id=books.account_id, call_id=wish.call_id, price_nano=price_nano)
    before = await own_gateways.look(books.account_id)

    await lose(own_redis)
    answer = await admission.admit(call(books.account_id, 51))

    assert (answer.reason, answer.available_nano) == ("credit", 50)
    assert await own_gateways.look(books.account_id) == before  # slices and budgets alike


async def test_a_gateway_that_starts_enters_what_its_spool_kept(own_redis, own_gateways, ledger, call):
    spool = Spool()
    first = await own_gateways.make(patience_s=10_000)
    books = ledger.open(100)
    wish = call(books.account_id, 40)
    await first.admit(wish)
    spool.keep(first, wish, 30)
    await own_gateways.crash(first)
    await lose(own_redis)

    second = await own_gateways.make(patience_s=10_000, spooled=spool.read)

    assert await own_gateways.available(second, books.account_id) == 70


async def test_calls_that_another_process_left_are_entered_when_its_spool_is_taken_over(
    own_redis, own_gateways, ledger, call
):
    spool = Spool()
    dying = await own_gateways.make(patience_s=10_000)
    books = ledger.open(100)
    wish = call(books.account_id, 40)
    await dying.admit(wish)
    spool.keep(dying, wish, 30)  # and it dies before Redis hears of the end
    adopted, spool.calls = spool.calls, []
    await own_gateways.crash(dying)
    heir = await own_gateways.make(patience_s=1, spooled=spool.read)
    assert await own_gateways.available(heir, books.account_id) == 60

    spool.calls = adopted
    heir.spool_grew()

    async def settled():
        return (await own_gateways.look(books.account_id)).entries[wish.call_id][0] == "ended"

    await until(settled)
    assert await own_gateways.available(heir, books.account_id) == 70


async def test_while_the_spool_cannot_be_read_nothing_is_admitted_under_a_new_run(
    own_redis, own_gateways, ledger, call
):
    spool = Spool()
    admission = await own_gateways.make(patience_s=10_000, spooled=spool.read)
    books = ledger.open(100)
    wish = call(books.account_id, 40)
    await admission.admit(wish)
    spool.keep(admission, wish, 30)
    await admission.settle(account_id=books.account_id, call_id=wish.call_id, price_nano=30)
    spool.is_broken = True
    await lose(own_redis)

    with pytest.raises(AdmissionUnavailableError):
        await admission.admit(call(books.account_id, 1))

    spool.is_broken = False
    assert await own_gateways.available(admission, books.account_id) == 70
    await admission.live()


async def test_a_spooled_call_that_the_ledger_has_confirmed_is_not_entered(own_redis, own_gateways, ledger, call):
    """Kafka took its event after all."""
    spool = Spool()
    admission = await own_gateways.make(patience_s=1, spooled=spool.read)
    books = ledger.open(100)
    wish = call(books.account_id, 40)
    admitted = await admission.admit(wish)
    spool.keep(admission, wish, 30)
    await admission.settle(account_id=books.account_id, call_id=wish.call_id, price_nano=30)
    await admission.apply_snapshot(books.book(wish.call_id, admitted.allocation, 30))

    admission.spool_grew()

    async def entered():
        return admission._calls._growths_entered == 1

    await until(entered)
    assert await own_gateways.available(admission, books.account_id) == 70
    assert (await own_gateways.look(books.account_id)).entries == {}
