"""An operator freezes an account: gateways hear of it, nothing else undoes it."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest
from factories import Factory
from harness import Ledger

from ledger.errors import HoldStandsError, UnknownAccountError
from ledger.repository.holds import list_holds
from ledger.service.freezing import Freezing

NewAccount = Callable[[], Awaitable[UUID]]


@pytest.fixture
def freezing(ledger: Ledger) -> Freezing:
    return Freezing(ledger.catalogue, ledger.clock)


async def hold(ledger: Ledger, freezing: Freezing, account_id: UUID, action: str) -> None:
    async with ledger.database.transaction() as session:
        await getattr(freezing, action)(session, account_id, reason="a stolen card", actor="operator-7")


async def test_a_frozen_account_is_announced_and_thawed_again(
    ledger: Ledger, freezing: Freezing, account: NewAccount
) -> None:
    account_id = await account()

    await hold(ledger, freezing, account_id, "freeze")
    await hold(ledger, freezing, account_id, "thaw")

    states = [snapshot["state"] for snapshot in await ledger.snapshots(account_id)]
    assert states[-3:] == ["open", "frozen", "open"]
    async with ledger.database.reading() as session:
        holds = await list_holds(session, account_id)
    assert [(one.action, one.reason, one.actor) for one in holds] == [
        ("freeze", "a stolen card", "operator-7"),
        ("thaw", "a stolen card", "operator-7"),
    ]


async def test_what_auth_says_next_does_not_thaw_and_a_thaw_does_not_reopen(
    ledger: Ledger, make: Factory, freezing: Freezing, account: NewAccount
) -> None:
    account_id = await account()
    await hold(ledger, freezing, account_id, "freeze")

    await ledger.deliver(make.changed(account_id, version=2, state="open"))
    assert (await ledger.snapshots(account_id))[-1]["state"] == "frozen"
    await ledger.deliver(make.changed(account_id, version=3, state="closed"))
    assert (await ledger.snapshots(account_id))[-1]["state"] == "closed"
    await hold(ledger, freezing, account_id, "thaw")
    assert (await ledger.snapshots(account_id))[-1]["state"] == "closed"


async def test_calls_that_were_under_way_are_still_charged(
    ledger: Ledger, make: Factory, freezing: Freezing, account: NewAccount
) -> None:
    account_id = await account()
    usage = make.usage(account_id)
    await hold(ledger, freezing, account_id, "freeze")
    before = await ledger.available(account_id)

    await ledger.deliver(usage)

    assert await ledger.available(account_id) == before - 3_450_000
    assert (await ledger.snapshots(account_id))[-1]["state"] == "frozen"


async def test_a_hold_that_stands_and_an_unknown_account_are_refused(
    ledger: Ledger, freezing: Freezing, account: NewAccount
) -> None:
    account_id = await account()

    with pytest.raises(HoldStandsError):
        await hold(ledger, freezing, account_id, "thaw")
    await hold(ledger, freezing, account_id, "freeze")
    with pytest.raises(HoldStandsError):
        await hold(ledger, freezing, account_id, "freeze")
    with pytest.raises(UnknownAccountError):
        await hold(ledger, freezing, uuid4(), "freeze")
