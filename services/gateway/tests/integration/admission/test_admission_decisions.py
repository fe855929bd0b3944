import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.money import MAX_AMOUNT, Unit
from gateway.admission import AdmissionUnavailableError, UnknownAccountError, metrics
from kit.clock import SandboxClock, SystemClock, move_clock


async def test_a_call_is_admitted_and_its_hold_is_split_in_burn_order(gateways, ledger, call):
    """(money.md 1, 4, 9)."""
    admission = await gateways.make()
    books = ledger.open(300, 500, markup_bps=1500)
    request = call(books.account_id, 401)

    admitted = await admission.admit(request)

    assert admitted.call_id == request.call_id
    assert admitted.reserved_nano == 462  # 401 * 1.15 = 461.15
    assert [(one.slice_id, one.amount) for one in admitted.allocation] == [
        (str(books.slices[0].slice_id), 300),
        (str(books.slices[1].slice_id), 162),
    ]
    assert admitted.available_nano == 800 - 462
    assert (admitted.plan_id, admitted.plan_version, admitted.markup_bps) == ("trial|50%", 3, 1500)
    assert abs(admitted.admitted_at - datetime.now(UTC)) < timedelta(seconds=5)
    assert admission.open_calls == {request.call_id}


async def test_the_same_call_asked_twice_gets_the_same_hold(gateways, ledger, call):
    """(money.md 5)."""
    admission = await gateways.make()
    books = ledger.open(300, 500)
    request = call(books.account_id, 400)

    first = await admission.admit(request)
    await admission.apply_snapshot(books.changed(markup_bps=9000))
    second = await admission.admit(request)

    assert second == first
    assert (await gateways.look(books.account_id)).used == {
        str(books.slices[0].slice_id): 300,
        str(books.slices[1].slice_id): 100,
    }


async def test_a_call_beyond_the_balance_is_refused_and_takes_nothing(gateways, ledger, call):
    """(money.md 5, 10)."""
    admission = await gateways.make()
    books = ledger.open(1000, markup_bps=1000)

    refused = await admission.admit(call(books.account_id, 910))

    assert (refused.reason, refused.available_nano, refused.required_nano) == ("credit", 1000, 1001)
    sight = await gateways.look(books.account_id)
    assert not sight.entries
    assert not sight.used
    assert (await admission.admit(call(books.account_id, 909))).reserved_nano == 1000


async def test_only_the_first_refusal_of_an_arming_says_so(gateways, ledger, call):
    admission = await gateways.make()
    books = ledger.open(10)
    first = call(books.account_id, 11)

    answers = [
        await admission.admit(first),
        await admission.admit(first),
        await admission.admit(call(books.account_id, 11)),
    ]
    await admission.apply_snapshot(books.changed(arming=2))
    answers += [await admission.admit(call(books.account_id, 11)), await admission.admit(call(books.account_id, 11))]

    # The second is the first call again, as after an answer that was lost on the way.
    assert [answer.first_of_arming for answer in answers] == [True, True, False, True, False]
    assert [answer.arming for answer in answers] == [1, 1, 1, 2, 2]


@pytest.mark.parametrize("state", ["frozen", "closed"])
async def test_an_account_that_is_not_open_is_refused(gateways, ledger, call, state):
    """(money.md 4)."""
    admission = await gateways.make()
    books = ledger.open(1000, state=state)

    refused = await admission.admit(call(books.account_id, 1))

    assert refused.reason == state
    assert not refused.first_of_arming


async def test_only_models_of_the_plan_are_admitted(gateways, ledger, call):
    """(money.md 4)."""
    admission = await gateways.make()
    books = ledger.open(1000, models=("claude-haiku-5", "claude-opus-5"))

    assert (await admission.admit(call(books.account_id, 1, model="claude-opus"))).reason == "model_not_allowed"
    assert (await admission.admit(call(books.account_id, 1, model="claude-opus-5"))).reserved_nano == 1
    await admission.apply_snapshot(books.changed(models=()))
    assert (await admission.admit(call(books.account_id, 1, model="claude-opus-5"))).reason == "model_not_allowed"
    await admission.apply_snapshot(books.changed(models=None))
    assert (await admission.admit(call(books.account_id, 1, model="anything"))).reserved_nano == 1


async def test_slices_count_only_while_they_are_valid_and_in_credits(gateways, ledger, call, slices):
    """(money.md 4)."""
    admission = await gateways.make()
    books = ledger.open()
    valid = slices(7, expires_in_s=3600)
    books.slices = [
        slices(100, expires_in_s=-1),
        slices(1000, starts_in_s=3600),
        slices(10_000, unit=Unit.TOKEN),
        valid,
    ]
    later = await gateways.make(clock=SystemClock(3700))

    assert await gateways.available(admission, books.account_id) == 7
    assert await gateways.available(later, books.account_id) == 1000
    admitted = await admission.admit(call(books.account_id, 7))
    assert [one.slice_id for one in admitted.allocation] == [str(valid.slice_id)]
    assert await gateways.available(later, books.account_id) == 1000  # what is held on an expired slice hurts no other


async def test_a_sandbox_moves_the_time_of_scripts_while_the_gateway_runs(gateways, ledger, call, slices, tmp_path):
    """A month passes between two calls on the same connection; no process starts anew."""
    move_clock(tmp_path / "clock", offset_s=0)
    admission = await gateways.make(clock=SandboxClock(tmp_path / "clock"))
    books, next_month = ledger.open(), slices(1000, starts_in_s=3600)
    books.slices = [slices(7, expires_in_s=3600), next_month]
    before = await admission.admit(call(books.account_id, 7))

    move_clock(tmp_path / "clock", offset_s=31 * 86_400)

    after = await admission.admit(call(books.account_id, 1000))
    assert [one.slice_id for one in after.allocation] == [str(next_month.slice_id)]
    assert (after.admitted_at - before.admitted_at).days == 31


async def test_debt_and_holds_on_slices_that_are_gone_count_against_the_rest(gateways, ledger, call, slices):
    """(money.md 4, 5)."""
    admission = await gateways.make()
    books = ledger.open(100, 50)
    await admission.admit(call(books.account_id, 120))

    await admission.apply_snapshot(books.changed(slices=books.slices[1:], debt_nano=5))

    assert await gateways.available(admission, books.account_id) == 50 - 20 - 100 - 5
    await admission.apply_snapshot(books.changed(slices=[*books.slices, slices(200)]))
    assert await gateways.available(admission, books.account_id) == 50 - 20 - 100 - 5 + 200


async def test_entries_of_an_account_are_capped(gateways, ledger, call):
    """(money.md 6)."""
    admission = await gateways.make(most_entries=3)
    books = ledger.open(1000)
    for _ in range(3):
        await admission.admit(call(books.account_id, 1))

    assert (await admission.admit(call(books.account_id, 1))).reason == "too_many_unconfirmed"


async def test_an_unknown_account_is_asked_to_try_again(gateways, ledger, call):
    admission = await gateways.make()
    books = ledger.open(100)
    del ledger.books[books.account_id]

    with pytest.raises(UnknownAccountError) as raised:
        await admission.admit(call(books.account_id, 1))
    assert raised.value.retry_after_s == 1
    assert isinstance(raised.value, AdmissionUnavailableError)

    ledger.books[books.account_id] = books
    assert (await admission.admit(call(books.account_id, 1))).available_nano == 99


EXACT = [
    10**13 + 1,
    10**14 - 1,
    10**14,
    10**14 + 1,
    99_999_999_999_999,
    123_456_789_012_345,
    999_999_999_999_999,
    10**15 + 1,
    MAX_AMOUNT - 1,
    MAX_AMOUNT,
]


@pytest.mark.parametrize("amount", EXACT)
async def test_large_amounts_keep_every_digit(gateways, ledger, call, amount):
    """(money.md 2)."""
    admission = await gateways.make()
    books = ledger.open(amount)
    request = call(books.account_id, amount - 1)

    admitted = await admission.admit(request)
    sight = await gateways.look(books.account_id)
    assert (admitted.reserved_nano, admitted.available_nano) == (amount - 1, 1)
    assert list(sight.used.values()) == [amount - 1]
    assert (await admission.admit(call(books.account_id, 2))).reason == "credit"

    await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=amount - 2)
    assert await gateways.available(admission, books.account_id) == 2
    await admission.apply_snapshot(books.book(request.call_id, admitted.allocation, amount - 2))
    assert await gateways.available(admission, books.account_id) == 2
    assert not (await gateways.look(books.account_id)).used


@pytest.mark.parametrize("amount", [MAX_AMOUNT + 1, 2**53 - 1, 2**53, 2**53 + 1, 10**17, 10**40])
async def test_amounts_that_doubles_do_not_hold_are_refused(gateways, ledger, call, amount):
    """(money.md 2)."""
    admission = await gateways.make()
    books = ledger.open(MAX_AMOUNT, MAX_AMOUNT)

    refused = await admission.admit(call(books.account_id, amount))

    assert refused.reason == "amount_too_large"
    assert refused.required_nano == amount
    assert refused.available_nano == MAX_AMOUNT  # "at least": the sum itself is beyond


@pytest.mark.parametrize("bps", [0, 1, 1500, 9999, 1_000_000])
@pytest.mark.parametrize("cost", [0, 1, 9999, 10_000, 10_001, 10**13 + 7, 87_654_321_987_653, 89_108_910_891_089])
async def test_the_markup_is_exact_and_rounded_up_once(gateways, ledger, call, bps, cost):
    """(money.md 2, 3)."""
    admission = await gateways.make()
    books = ledger.open(MAX_AMOUNT, markup_bps=bps)
    price = -(-cost * (10_000 + bps) // 10_000)

    answer = await admission.admit(call(books.account_id, cost))

    if price > MAX_AMOUNT:
        assert (answer.reason, answer.required_nano) == ("amount_too_large", price)
    else:
        assert answer.reserved_nano == price


async def test_five_hundred_concurrent_calls_never_exceed_the_balance(gateways, ledger, call):
    """(money.md 5, 29)."""
    books = ledger.open(20, 30)
    admissions = [await gateways.make() for _ in range(3)]

    answers = await asyncio.gather(*(admissions[i % 3].admit(call(books.account_id, 1)) for i in range(500)))

    admitted = [answer for answer in answers if hasattr(answer, "allocation")]
    assert len(admitted) == 50
    assert sum(answer.reserved_nano for answer in admitted) == 50
    assert sum(getattr(answer, "first_of_arming", False) for answer in answers) == 1
    sight = await gateways.look(books.account_id)
    assert sorted(sight.used.values()) == [20, 30]
    assert len(ledger.asked) <= 3  # one reload per gateway, however many calls wait


async def test_a_clock_that_is_off_raises_an_alarm(gateways, ledger, call):
    """(money.md 1)."""
    admission = await gateways.make(clock=SystemClock(120))
    books = ledger.open(100)
    before = metrics.CLOCK_SKEWED._value.get()

    await admission.admit(call(books.account_id, 1))

    assert metrics.CLOCK_SKEWED._value.get() == before + 1
