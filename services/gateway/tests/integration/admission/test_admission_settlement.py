import random
from uuid import uuid4

import pytest

from contracts.money import MAX_AMOUNT
from gateway.admission import AdmissionUnavailableError, SnapshotRefusedError


async def test_settling_gives_back_what_the_call_did_not_cost(gateways, ledger, call):
    """(money.md 5)."""
    admission = await gateways.make()
    books = ledger.open(300, 500)
    request = call(books.account_id, 600)
    await admission.admit(request)

    answer = await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=310)

    sight = await gateways.look(books.account_id)
    first, second = (str(one.slice_id) for one in books.slices)
    assert answer == "ok"
    assert sight.entries == {request.call_id: ("ended", f"{first}=300,{second}=10")}
    assert sight.used == {first: 300, second: 10}
    assert await gateways.available(admission, books.account_id) == 490
    assert admission.open_calls == frozenset()


async def test_a_price_above_the_hold_stands_on_the_last_slice(gateways, ledger, call):
    """(money.md 5)."""
    admission = await gateways.make()
    books = ledger.open(300, 500)
    request = call(books.account_id, 310)
    await admission.admit(request)

    await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=900)

    assert sorted((await gateways.look(books.account_id)).used.values()) == [300, 600]
    assert await gateways.available(admission, books.account_id) == -100


async def test_a_call_that_cost_nothing_stays_until_it_is_confirmed(gateways, ledger, call):
    """(money.md 5, 6)."""
    admission = await gateways.make()
    books = ledger.open(100)
    request = call(books.account_id, 60)
    admitted = await admission.admit(request)

    await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=0)
    assert (await gateways.look(books.account_id)).entries == {request.call_id: ("ended", "")}
    assert await gateways.available(admission, books.account_id) == 100

    await admission.apply_snapshot(books.book(request.call_id, admitted.allocation, 0))
    assert not (await gateways.look(books.account_id)).entries


async def test_settling_twice_changes_nothing(gateways, ledger, call):
    """(money.md 5)."""
    admission = await gateways.make()
    books = ledger.open(300, 500)
    request = call(books.account_id, 600)
    await admission.admit(request)
    await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=310)
    before = await gateways.look(books.account_id)

    answer = await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=310)

    assert answer == "ok"
    assert await gateways.look(books.account_id) == before


async def test_a_confirmed_call_is_left_alone(gateways, ledger, call):
    """(money.md 6)."""
    admission = await gateways.make()
    books = ledger.open(100)
    request = call(books.account_id, 60)
    admitted = await admission.admit(request)
    await admission.apply_snapshot(books.book(request.call_id, admitted.allocation, 40))

    answer = await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=40)

    sight = await gateways.look(books.account_id)
    assert answer == "confirmed"
    assert not sight.entries
    assert sight.confirmed == {request.call_id}
    assert await gateways.available(admission, books.account_id) == 60
    with pytest.raises(AdmissionUnavailableError, match="ended already"):
        await admission.admit(request)


async def test_an_unknown_call_is_entered_as_ended(gateways, ledger, call):
    """(money.md 6)."""
    admission = await gateways.make()
    books = ledger.open(100)
    await gateways.available(admission, books.account_id)
    call_id = uuid4()

    answer = await admission.settle(account_id=books.account_id, call_id=call_id, price_nano=30)

    assert answer == "ok"
    assert (await gateways.look(books.account_id)).entries == {call_id: ("ended", "-=30")}
    assert await gateways.available(admission, books.account_id) == 70
    await admission.apply_snapshot(books.book(call_id, (), 0))
    assert await gateways.available(admission, books.account_id) == 100


async def test_prices_out_of_range_never_reach_the_data_path(gateways, ledger, call):
    """(money.md 2)."""
    admission = await gateways.make()
    books = ledger.open(100)
    cheap, dear = call(books.account_id, 10), call(books.account_id, 10)
    await admission.admit(cheap)
    await admission.admit(dear)

    assert await admission.settle(account_id=books.account_id, call_id=cheap.call_id, price_nano=-5) == "ok"
    assert await admission.settle(account_id=books.account_id, call_id=dear.call_id, price_nano=10**19) == "ok"
    assert await gateways.available(admission, books.account_id) < -(10**15)


async def test_snapshots_may_come_in_any_order_twice_or_not_at_all(gateways, ledger, call):
    """(money.md 6)."""
    admission = await gateways.make()
    books = ledger.open(1000)
    requests = [call(books.account_id, 100) for _ in range(6)]
    snapshots = []
    for request in requests:
        admitted = await admission.admit(request)
        await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=60)
        snapshots.append(books.book(request.call_id, admitted.allocation, 60))
    assert books.slices[0].amount == 640
    lost = snapshots.pop(2)
    shuffled = snapshots * 2
    random.Random(7).shuffle(shuffled)

    for snapshot in shuffled:
        await admission.apply_snapshot(snapshot)
        assert await gateways.available(admission, books.account_id) <= 640

    sight = await gateways.look(books.account_id)
    assert sight.version == books.version
    assert set(sight.entries) == set(lost.applied)
    assert await gateways.available(admission, books.account_id) == 580  # early denial, until the ledger is asked


async def test_an_old_snapshot_does_not_turn_state_back(gateways, ledger, call):
    """(money.md 6, 24)."""
    admission = await gateways.make()
    books = ledger.open(1000)
    await gateways.available(admission, books.account_id)
    old = books.changed(state="frozen", markup_bps=5)
    new = books.changed(state="open", markup_bps=7)

    await admission.apply_snapshot(new)
    await admission.apply_snapshot(old)

    assert (await admission.admit(call(books.account_id, 1))).markup_bps == 7


async def test_a_snapshot_alone_builds_no_state(gateways, ledger, call):
    """(money.md 29)."""
    admission = await gateways.make()
    books = ledger.open(1000)

    await admission.apply_snapshot(books.event([uuid4()]))
    assert (await gateways.look(books.account_id)).version is None

    await admission.admit(call(books.account_id, 1))
    assert len(ledger.asked) == 1


@pytest.mark.parametrize("amount", [-1, MAX_AMOUNT + 1, 2**53 - 1, 2**53, 2**53 + 1])
async def test_amounts_that_scripts_cannot_count_are_refused(gateways, ledger, call, slices, amount):
    """(money.md 2)."""
    admission = await gateways.make()
    books = ledger.open(1000)
    await gateways.available(admission, books.account_id)

    with pytest.raises(SnapshotRefusedError):
        await admission.apply_snapshot(books.changed(slices=[slices(amount)]))
    with pytest.raises(SnapshotRefusedError):
        await admission.apply_snapshot(books.changed(slices=[slices(7)], debt_nano=amount))

    assert await gateways.available(admission, books.account_id) == 1000


@pytest.mark.parametrize("amount", [10**14 - 1, 10**14 + 1, MAX_AMOUNT])
async def test_a_snapshot_keeps_every_digit(gateways, ledger, slices, amount):
    """(money.md 2)."""
    admission = await gateways.make()
    books = ledger.open(1000)
    await gateways.available(admission, books.account_id)

    await admission.apply_snapshot(books.changed(slices=[slices(amount)]))
    assert await gateways.available(admission, books.account_id) == amount
    await admission.apply_snapshot(books.changed(slices=[], debt_nano=amount))
    assert await gateways.available(admission, books.account_id) == -amount


async def test_at_rest_nothing_is_left_and_available_is_the_balance(gateways, ledger, call):
    """(money.md 2, 5, 6)."""
    admission = await gateways.make()
    books = ledger.open(10**15 + 1, 10**14 - 1, 77)
    chance = random.Random(11)
    ended = []
    for _ in range(60):
        request = call(books.account_id, chance.randrange(10**13))
        admitted = await admission.admit(request)
        price = chance.randrange(admitted.reserved_nano + 1)
        await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=price)
        ended.append((request.call_id, admitted.allocation, price))
    chance.shuffle(ended)

    for call_id, allocation, price in ended:
        await admission.apply_snapshot(books.book(call_id, allocation, price))

    sight = await gateways.look(books.account_id)
    assert not sight.entries
    assert not sight.used
    assert await gateways.available(admission, books.account_id) == sum(one.amount for one in books.slices)
