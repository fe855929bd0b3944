"""Slices of every unit, terms, near limits, elastic steps (money.md 4, 8, 9, 20)."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.ledger import Armed
from contracts.money import Unit
from contracts.terms import Limits, ModelMarkup, NearLimit, OverageTerms, PaymentProblem, Terms, TokenWeight
from gateway.admission import AccountTerms, Admission, Amounts, Refused, Replan
from gateway.admission.scripts import account_keys


def amounts_of(answer):
    return [(one.unit, one.amount) for one in answer.allocation]


async def test_requests_then_tokens_then_credits_then_overage_pay(gateways, ledger, call, slices):
    """(money.md 9, 20)."""
    admission = await gateways.make()
    books = ledger.open(terms=Terms(request_max_price_nano=60))
    books.slices = [
        slices(100),
        slices(50, unit=Unit.TOKEN),
        slices(1, unit=Unit.REQUEST),
        slices(1000, kind="overage"),
    ]
    by_request = await admission.admit(call(books.account_id, amounts=Amounts(80, 10, 1, 500)))
    by_tokens = await admission.admit(call(books.account_id, amounts=Amounts(90, 30, 1, 500)))
    by_both = await admission.admit(call(books.account_id, amounts=Amounts(100, 40, 1, 500)))
    by_overage = await admission.admit(call(books.account_id, amounts=Amounts(100, 40, 1, 400)))

    assert amounts_of(by_request) == [("request", 1), ("credit", 20)]
    assert amounts_of(by_tokens) == [("token", 30)]
    assert amounts_of(by_both) == [("token", 20), ("credit", 50)]
    assert amounts_of(by_overage) == [("credit", 30), ("credit", 280)]
    assert by_overage.allocation[1].slice_id == str(books.slices[3].slice_id)
    assert tuple(by_overage.left) == (0, 0, 0, 720)


async def test_a_call_that_no_unit_pays_whole_takes_nothing_of_any(gateways, ledger, call, slices):
    """(money.md 10)."""
    admission = await gateways.make()
    books = ledger.open()
    books.slices = [slices(50, unit=Unit.TOKEN), slices(9)]

    refused = await admission.admit(call(books.account_id, amounts=Amounts(100, 60, 1, 100)))

    assert (refused.reason, tuple(refused.left)) == ("credit", (9, 50, 0, 0))
    sight = await gateways.look(books.account_id)
    assert not sight.used
    assert not sight.flight


async def test_a_plan_that_only_warns_admits_the_excess_at_no_price(gateways, ledger, call, slices):
    """(money.md 20)."""
    admission = await gateways.make()
    books = ledger.open(terms=Terms(unit=Unit.TOKEN, overage=OverageTerms(policy="warn")))
    books.slices = [slices(50, unit=Unit.TOKEN)]

    first = await admission.admit(call(books.account_id, amounts=Amounts(100, 60)))
    second = await admission.admit(call(books.account_id, amounts=Amounts(100, 60)))

    assert amounts_of(first) == [("token", 50)]
    assert amounts_of(second) == []
    await admission.settle(account_id=books.account_id, call_id=first.call_id, amounts=Amounts(100, 60))
    assert (await gateways.look(books.account_id)).used == {f"{books.slices[0].slice_id}:t": 50}


async def test_debt_is_paid_by_credits_alone(gateways, ledger, call, slices):
    """(money.md 4)."""
    admission = await gateways.make()
    books = ledger.open(debt_nano=500)
    books.slices = [slices(50, unit=Unit.TOKEN), slices(100)]

    assert amounts_of(await admission.admit(call(books.account_id, amounts=Amounts(70, 50)))) == [("token", 50)]
    assert (await admission.admit(call(books.account_id, amounts=Amounts(1, 1)))).reason == "credit"


async def test_what_is_held_on_tokens_that_are_gone_counts_against_tokens(gateways, ledger, call, slices):
    """(money.md 4)."""
    admission = await gateways.make()
    books = ledger.open()
    books.slices = [slices(50, unit=Unit.TOKEN), slices(100)]
    await admission.admit(call(books.account_id, amounts=Amounts(1000, 30)))

    answer = await admission.admit(call(books.account_id, amounts=Amounts(10**17)))
    await admission.apply_snapshot(books.changed(slices=[slices(40, unit=Unit.TOKEN), slices(100)]))
    later = await admission.admit(call(books.account_id, amounts=Amounts(10**17)))

    assert tuple(answer.left) == (100, 20, 0, 0)
    assert tuple(later.left) == (100, 10, 0, 0)


async def test_a_request_made_by_other_terms_is_planned_anew(gateways, ledger, call, plan):
    """(money.md 4, 19)."""
    admission = await gateways.make()
    books = ledger.open(1000, markup_bps=100)
    old = await admission.learn_terms(books.account_id)
    changes = [
        {"markup_bps": 200},
        {"models": ("claude-sonnet-5",)},
        {"limits": Limits(concurrency=7)},
        {"terms": Terms(weights=(TokenWeight(hundredths=3),))},
        {"terms": Terms(model_markups=(ModelMarkup(model="claude-sonnet-5", markup_bps=77),))},
        {"plan_version": 3, "state": "open", "terms": Terms(elastic_step_tokens=5)},
        {"payment_problem": PaymentProblem(reason="expired_card", card_brand="visa", card_last4="0069")},
        {"payment_problem": None},
    ]
    for change in changes:
        await admission.apply_snapshot(books.changed(**change))
        answer = await Admission.admit(admission, plan(call(books.account_id, 1), old))

        assert isinstance(answer, Replan)
        assert answer.terms.digest == AccountTerms.of(books.event()).digest != old.digest
        assert admission.terms_of(books.account_id) is answer.terms
        old = answer.terms
    sight = await gateways.look(books.account_id)
    assert not sight.entries


async def test_a_models_own_markup_is_stamped(gateways, ledger, call):
    """(money.md 19)."""
    admission = await gateways.make()
    terms = Terms(model_markups=(ModelMarkup(model="claude-sonnet-5", markup_bps=5000),))
    books = ledger.open(1000, markup_bps=100, terms=terms)

    admitted = await admission.admit(call(books.account_id, 100))
    found = await admission.find_hold(books.account_id, admitted.call_id)

    assert (admitted.markup_bps, admitted.reserved_nano) == (5000, 150)
    assert found.markup_bps == 5000


async def test_an_account_near_its_limit_is_planned_as_such_and_back(gateways, ledger, call, plan, slices):
    admission = await gateways.make()
    renews_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    books = ledger.open(
        terms=Terms(unit=Unit.TOKEN, near_limit=NearLimit(percent_left=10)),
        armed=(
            Armed(unit=Unit.TOKEN, amount=1000, renews_at=renews_at),
            Armed(unit=Unit.CREDIT, amount=10**9),
        ),
    )
    books.slices = [slices(101, unit=Unit.TOKEN), slices(10**9)]
    terms = await admission.learn_terms(books.account_id)

    far = await admission.admit(call(books.account_id, amounts=Amounts(1, 1)))
    assert (far.near, far.limits.utilisation, far.limits.renews_at) == (False, pytest.approx(0.9), renews_at)
    replan = await Admission.admit(admission, plan(call(books.account_id, amounts=Amounts(1, 1)), terms))
    near = await admission.admit(call(books.account_id, amounts=Amounts(1, 1)))
    assert (replan, near.near) == (Replan(terms, near=True), True)
    either = plan(call(books.account_id, amounts=Amounts(1, 1)), terms, near=None)
    assert (await Admission.admit(admission, either)).near

    await admission.apply_snapshot(books.changed(slices=[slices(900, unit=Unit.TOKEN)]))
    back = await Admission.admit(admission, plan(call(books.account_id, amounts=Amounts(1, 1)), terms, near=True))
    assert back == Replan(terms, near=False)


async def test_a_plan_limits_the_output_and_the_price_of_one_call(gateways, ledger, call):
    admission = await gateways.make()
    books = ledger.open(10**6, limits=Limits(max_tokens=100, max_price_nano=500))

    assert (await admission.admit(call(books.account_id, 1, max_tokens=101))).reason == "max_tokens"
    assert (await admission.admit(call(books.account_id, 501, max_tokens=100))).reason == "max_price"
    admitted = await admission.admit(call(books.account_id, 500, max_tokens=100))
    assert admitted.reserved_nano == 500
    assert await admission.extend(admitted.call_id, Amounts(501)) is False


async def test_an_elastic_hold_grows_by_the_same_rules_until_nothing_is_left(gateways, ledger, call, slices):
    """(money.md 8)."""
    admission = await gateways.make()
    books = ledger.open()
    books.slices = [slices(100, unit=Unit.TOKEN), slices(1000)]
    admitted = await admission.admit(call(books.account_id, amounts=Amounts(400, 40)))

    assert await admission.extend(admitted.call_id, Amounts(900, 90)) is True
    assert amounts_of(admitted) == [("token", 90)]
    assert await admission.extend(admitted.call_id, Amounts(2000, 200)) is True
    assert amounts_of(admitted) == [("token", 100), ("credit", 1000)]
    before = await gateways.look(books.account_id)
    assert await admission.extend(admitted.call_id, Amounts(2010, 201)) is False
    assert (await gateways.look(books.account_id)) == before
    assert admitted.amounts == Amounts(2000, 200)

    await admission.settle(account_id=books.account_id, call_id=admitted.call_id, amounts=Amounts(1500, 150))
    sight = await gateways.look(books.account_id)
    assert sight.used == {f"{books.slices[0].slice_id}:t": 100, str(books.slices[1].slice_id): 500}


async def test_a_hold_whose_price_lies_in_its_first_tokens_grows_by_its_whole_price(gateways, ledger, call, slices):
    """(money.md 8, 20): covered is a share of the whole call, whichever part was asked for first."""
    admission = await gateways.make()
    books = ledger.open()
    books.slices = [slices(100, unit=Unit.TOKEN), slices(10_000)]
    admitted = await admission.admit(call(books.account_id, amounts=Amounts(1000, 100)))

    assert await admission.extend(admitted.call_id, Amounts(1100, 1100)) is True

    assert amounts_of(admitted) == [("token", 100), ("credit", 1000)]


async def test_extending_a_call_that_is_over_says_what_it_is(gateways, ledger, call):
    """(money.md 6)."""
    admission, other = await gateways.make(), await gateways.make()
    books = ledger.open(1000)
    admitted = await admission.admit(call(books.account_id, 10))
    await other.apply_snapshot(books.book(admitted.call_id, admitted.allocation, 0))

    assert await admission.extend(admitted.call_id, Amounts(20)) == "confirmed"
    with pytest.raises(ValueError, match="not open here"):
        other.extend_soon(admitted.call_id, Amounts(20), print)


async def test_a_swept_call_grows_no_further_and_stays_swept(gateways, ledger, call):
    """(money.md 14)."""
    admission = await gateways.make(patience_s=10_000)
    books = ledger.open(1000)
    admitted = await admission.admit(call(books.account_id, 10))
    keys = account_keys(books.account_id)
    entry = await gateways.redis("HGET", keys[1], admitted.call_id.hex)
    await gateways.redis("HSET", keys[1], admitted.call_id.hex, entry.decode().replace("held|", "swept|", 1))
    await gateways.redis("DEL", keys[4])

    assert await admission.extend(admitted.call_id, Amounts(20)) == "swept"
    sight = await gateways.look(books.account_id)
    assert sight.entries == {admitted.call_id: ("swept", f"{books.slices[0].slice_id}=10")}
    assert not sight.flight


async def test_a_frozen_account_grows_no_further(gateways, ledger, call):
    """(money.md 4)."""
    admission = await gateways.make()
    books = ledger.open(1000)
    admitted = await admission.admit(call(books.account_id, 10))
    await admission.apply_snapshot(books.changed(state="frozen"))

    assert await admission.extend(admitted.call_id, Amounts(20)) is False


async def test_extending_a_call_that_redis_lost_enters_it_first(gateways, ledger, call):
    """(money.md 6, 29)."""
    admission = await gateways.make()
    books = ledger.open(1000, limits=Limits(concurrency=3))
    admitted = await admission.admit(call(books.account_id, 10))
    await gateways.redis("FLUSHALL")

    assert await admission.extend(admitted.call_id, Amounts(25)) is True

    sight = await gateways.look(books.account_id)
    assert sight.entries == {admitted.call_id: ("held", f"{books.slices[0].slice_id}=25")}
    assert sight.flight == {"open": 1}


async def test_a_grant_in_tokens_keeps_every_digit(gateways, ledger, call, slices):
    """(money.md 2)."""
    admission = await gateways.make()
    for amount in (10**14 - 1, 10**14 + 1, 2**53 // 2 + 1, 9 * 10**15 - 1):
        books = ledger.open()
        books.slices = [slices(amount - 3, unit=Unit.TOKEN), slices(9 * 10**15)]

        admitted = await admission.admit(call(books.account_id, amounts=Amounts(amount, amount)))

        assert amounts_of(admitted) == [("token", amount - 3), ("credit", 3)]
        assert admitted.left.credit_nano == 9 * 10**15 - 3


async def test_elastic_calls_overspend_at_most_a_step_each_and_that_becomes_debt(gateways, ledger, call):
    """(money.md 8): holds never exceed the balance; what ends above its hold is within the stated step."""
    step, calls = 10, 20
    admissions = [await gateways.make() for _ in range(4)]
    books = ledger.open(1000)
    open_calls = []
    for number in range(calls):
        admission = admissions[number % 4]
        open_calls.append((admission, await admission.admit(call(books.account_id, step))))

    growing = True
    while growing:
        answers = await asyncio.gather(
            *(one.extend(held.call_id, Amounts(held.amounts.credit_nano + step)) for one, held in open_calls)
        )
        growing = any(answers)
    held = sum(one.amounts.credit_nano for _, one in open_calls)
    assert held == 1000
    assert await gateways.available(admissions[0], books.account_id) == 0

    for admission, one in open_calls:
        price_nano = one.amounts.credit_nano + step
        await admission.settle(account_id=books.account_id, call_id=one.call_id, price_nano=price_nano)
        await admission.apply_snapshot(books.book(one.call_id, one.allocation, price_nano))
    assert books.debt_nano == calls * step
    assert await gateways.available(admissions[0], books.account_id) == -calls * step
    assert not (await gateways.look(books.account_id)).entries


async def test_five_hundred_elastic_calls_at_once_never_hold_more_than_the_balance(gateways, ledger, call):
    """(money.md 5, 8)."""
    admissions = [await gateways.make() for _ in range(4)]
    books = ledger.open(50)

    async def run(number):
        admission = admissions[number % 4]
        answer = await admission.admit(call(books.account_id, 1))
        while not isinstance(answer, Refused) and await admission.extend(
            answer.call_id, Amounts(answer.amounts.credit_nano + 1)
        ):
            pass
        return answer

    answers = await asyncio.gather(*(run(number) for number in range(500)))

    admitted = [answer for answer in answers if not isinstance(answer, Refused)]
    assert sum(answer.amounts.credit_nano for answer in admitted) == 50
    assert (await gateways.look(books.account_id)).used == {str(books.slices[0].slice_id): 50}
