"""Stripe failing at each call of a plan change, a top-up by itself, use paid afterwards and the portal."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import pytest
from accrued import hour_of_use
from faults import SOME_OR_ALL, FaultyTransport, on_calls

from billing.domain.collecting import TopUpRule
from billing.service.changing import Wanted
from billing.service.pay_per_use import PayPerUse, Wish, owe_use
from billing.service.top_ups import TopUps
from kit.errors import UnavailableError
from sandbox.fixtures_stripe import running_stripe_server

pytestmark = pytest.mark.long

CREDIT = 10**9
BACK = "https://example.com/"
CALLS_OF_A_CHANGE = 3
CALLS_OF_AN_ENDING = 2
CALLS_OF_A_PORTAL = 3
CALLS_OF_A_REMOVAL = 5
CALLS_OF_A_TAX_ID = 3
# A try is a request for the payment and a look at it; the next try looks first whether the last one got there.
STRIKES_AT_TRIES = ({0}, {1}, {0, 1}, {0, 2}, {0, 3})


@pytest.mark.parametrize("fault", SOME_OR_ALL)
@pytest.mark.parametrize("first", ["customer", "webhook"])
async def test_a_fault_at_any_call_of_an_upgrade_charges_and_grants_it_once(counter, fault, first):
    for number in range(CALLS_OF_A_CHANGE):
        account_id = await counter.buyer("small")
        change = Wanted(account_id, "large", None), counter.write(account_id, "POST /change")
        transport = FaultyTransport(fault, on_calls({number}))

        answer = await struck_then_repeated(
            counter, transport, lambda desk, change=change: desk.change(*change, at=None), first=first
        )
        await counter.hear()

        (row,) = await counter.rows(
            "SELECT id, plan_id, status FROM subscription WHERE account_id = :id", id=account_id
        )
        assert answer == {"subscription_id": row.id, "when": "now"}
        assert (row.plan_id, row.status) == ("large", "active")
        taken = await counter.taken(account_id)
        assert (len(taken), taken[0]) == (2, 2000), (number, transport.struck)
        assert await counter.settled(account_id) == taken
        assert await counter.told(account_id) == 2
        assert len(transport.struck) == 1


@pytest.mark.parametrize("fault", SOME_OR_ALL)
@pytest.mark.parametrize("first", ["customer", "webhook"])
async def test_a_fault_at_any_call_of_a_smaller_plan_an_ending_or_its_taking_back_is_made_good(counter, fault, first):
    account_id = await counter.buyer("large")
    wanted = Wanted(account_id, "small", None)
    for number in range(CALLS_OF_A_CHANGE):
        smaller, back = counter.write(account_id, "POST /change"), counter.write(account_id, "POST /resume")
        for step, expected in (
            (lambda desk, write=smaller: desk.change(wanted, write, at=None), ("large", "small", False)),
            (lambda desk, write=back: desk.resume(write), ("large", None, False)),
        ):
            transport = FaultyTransport(fault, on_calls({number}))
            await struck_then_repeated(counter, transport, step, first=first)
            await counter.hear()
            assert await state(counter, account_id) == (*expected, "active"), (number, transport.struck)
    for number in range(CALLS_OF_AN_ENDING):
        ending, back = counter.write(account_id, "POST /cancel"), counter.write(account_id, "POST /resume")
        transport = FaultyTransport(fault, on_calls({number}))
        await struck_then_repeated(
            counter, transport, lambda desk, write=ending: desk.cancel(write, at_period_end=True), first=first
        )
        await counter.hear()
        assert await state(counter, account_id) == ("large", None, True, "active")
        await counter.changes().resume(back)

    assert await counter.settled(account_id) == await counter.taken(account_id) == [8000]


@pytest.mark.parametrize("fault", SOME_OR_ALL)
@pytest.mark.parametrize("first", ["customer", "webhook"])
async def test_a_fault_at_any_call_of_an_end_now_ends_it_once(counter, fault, first):
    for number in range(CALLS_OF_AN_ENDING):
        account_id = await counter.buyer("small")
        write = counter.write(account_id, "POST /cancel")
        transport = FaultyTransport(fault, on_calls({number}))

        answer = await struck_then_repeated(
            counter, transport, lambda desk, write=write: desk.cancel(write, at_period_end=False), first=first
        )
        await counter.hear()

        assert answer["when"] == "now"
        assert await state(counter, account_id) == ("small", None, False, "canceled")
        assert len(transport.struck) == 1


@pytest.mark.parametrize("fault", SOME_OR_ALL)
async def test_a_fault_at_any_call_of_a_top_up_takes_and_grants_it_once(counter, fault):
    for strikes in STRIKES_AT_TRIES:
        account_id = await counter.buyer()
        counter.books.set(account_id, 2 * CREDIT)
        async with counter.database.transaction() as session:
            rule = TopUpRule(5 * CREDIT, 2000, 5000, 20000)
            await TopUps(counter.paths, counter.clock).set_rule(session, account_id, rule)

        transport = await tried_with_faults(counter, fault, strikes, account_id=account_id)

        await one_payment(counter, account_id, 2300, purpose="auto_top_up", told=(strikes, transport.struck))
        (row,) = await counter.rows("SELECT grant_nano FROM payment WHERE account_id = :id", id=account_id)
        assert row.grant_nano == 23 * CREDIT


@pytest.mark.parametrize("fault", SOME_OR_ALL)
async def test_a_fault_at_any_call_of_a_collection_takes_the_use_once_and_forgets_none(counter, fault):
    for strikes in STRIKES_AT_TRIES:
        account_id = await counter.buyer()
        use = PayPerUse(counter.paths, counter.clock)
        async with counter.database.transaction() as session:
            await use.start(session, Wish(account_id, "used", uuid4().hex))
            await owe_use(session, hour_of_use(counter, account_id, 20_049_999_999), now=counter.clock.now())

        transport = await tried_with_faults(counter, fault, strikes, account_id=account_id)

        await one_payment(counter, account_id, 2004, purpose="pay_per_use", told=(strikes, transport.struck))
        (carry,) = await counter.rows("SELECT carry_nano FROM use_carry WHERE account_id = :id", id=account_id)
        assert carry.carry_nano == 9_999_999
        assert (
            await counter.rows("SELECT 1 FROM owed_use WHERE account_id = :id AND attempt_id IS NULL", id=account_id)
            == []
        )


@pytest.mark.parametrize("fault", SOME_OR_ALL)
async def test_a_fault_at_any_call_of_a_cards_removal_removes_it_and_no_other(counter, fault):
    account_id = await counter.buyer()
    for number in range(CALLS_OF_A_REMOVAL):
        await counter.buy(account_id, None)
        gone, kept = (await counter.wallets().show(account_id)).methods
        write = counter.write(account_id, "DELETE /payment-methods")
        transport = FaultyTransport(fault, on_calls({number}))

        with suppress(UnavailableError):
            await counter.wallets(transport).remove(write, gone.id)
        answers = [await counter.wallets().remove(write, gone.id) for _ in range(2)]

        assert answers == [{"id": gone.id}] * 2
        assert [one.id for one in (await counter.wallets().show(account_id)).methods] == [kept.id]
        assert len(transport.struck) == 1


@pytest.mark.parametrize("fault", SOME_OR_ALL)
async def test_a_fault_at_any_call_of_a_tax_id_keeps_one_or_none(counter, fault):
    account_id = await counter.buyer()
    for number in range(CALLS_OF_A_TAX_ID):
        for step, left in ((add_tax_id, 1), (remove_tax_ids, 0)):
            write = counter.write(account_id, step.__name__)
            transport = FaultyTransport(fault, on_calls({number}))
            with suppress(UnavailableError):
                await step(counter.tax_ids(transport), write)
            for _ in range(2):
                await step(counter.tax_ids(), write)

            assert len(await counter.tax_ids().show(account_id)) == left, (number, transport.struck)


@pytest.mark.parametrize("fault", SOME_OR_ALL)
async def test_a_fault_at_any_call_of_the_portal_leaves_one_configuration_and_one_page(counter, fault):
    for number in range(CALLS_OF_A_PORTAL):
        with running_stripe_server(clock=counter.clock) as server:
            own = replace(counter, server=server)
            await own.change_rows("DELETE FROM stripe_object")
            await own.change_rows("DELETE FROM stripe_price")
            account_id = await own.buyer()
            write = own.write(account_id, "POST /portal")
            transport = FaultyTransport(fault, on_calls({number}))

            answer = await struck_then_repeated(
                own, transport, lambda desk, write=write: desk.portal(write, return_url=BACK), first="customer"
            )

            assert answer["url"].startswith(server.base_url)
            assert len(own.listed("billing_portal/configurations")) == 1, (number, transport.struck)
            assert len(transport.struck) == 1


async def add_tax_id(desk, write) -> None:
    await desk.add(write, kind="eu_vat", value="DE123456789")


async def remove_tax_ids(desk, write) -> None:
    for one in await desk.show(write.account_id):
        await desk.remove(write, one.id)


async def struck_then_repeated(
    counter, transport: FaultyTransport, step: Callable[..., Awaitable], *, first: str
) -> dict:
    """The answer to the customer's second try, and to a third; what Stripe tells may come before either."""
    with suppress(UnavailableError):
        await step(counter.changes(transport))
    if first == "webhook":
        await counter.hear()
    answer = await step(counter.changes())
    assert await step(counter.changes()) == answer
    return dict(answer)


async def tried_with_faults(counter, fault, strikes: set[int], *, account_id) -> FaultyTransport:
    """Everything that is due, while Stripe fails and when it no longer does; each try later than the one before."""
    transport = FaultyTransport(fault, on_calls(strikes))
    faulty = counter.collecting(transport)
    await faulty.once()
    # An attempt is open, or paid: what it brings is in the books by the next look.
    counter.books.set(account_id, 10**12)
    for _ in strikes:
        counter.clock.advance(600)
        await faulty.once()
    await counter.hear()
    counter.clock.advance(600)
    await counter.collecting().once()
    assert transport.struck
    return transport


async def one_payment(counter, account_id, amount_minor: int, *, purpose: str, told: object) -> None:
    assert await counter.taken(account_id) == [amount_minor], told
    assert await counter.settled(account_id) == [amount_minor], told
    assert await counter.told(account_id) == 1
    rows = await counter.rows(
        "SELECT state FROM charge_attempt WHERE account_id = :id AND purpose = :purpose", id=account_id, purpose=purpose
    )
    assert [row.state for row in rows] == ["succeeded"]


async def state(counter, account_id) -> tuple:
    (row,) = await counter.rows(
        "SELECT plan_id, pending_plan_id, cancel_at_period_end, status FROM subscription WHERE account_id = :id",
        id=account_id,
    )
    return tuple(row)
