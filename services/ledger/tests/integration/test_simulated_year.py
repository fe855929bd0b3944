"""A second, slow ledger of plain Python comes to the same books, to the nano-credit."""

from dataclasses import replace

import pytest

from kit.database import Database
from ledger.settings import SHIPPED_BOOK
from ledger.simulation import driving, steps
from ledger.simulation.driving import DifferenceError, simulate
from ledger.simulation.reference import Reference
from ledger.simulation.slow_books import Party, Pot
from ledger.simulation.world import PLANS, STARTS
from ledger.simulation.year import year


async def run(
    url: str, *, seed: int, accounts: int = 2, months: int = 2, reference: Reference | None = None
) -> driving.Outcome:
    database, shipped = Database(url, source="simulation"), SHIPPED_BOOK.read_text()
    try:
        return await simulate(
            database, seed=seed, accounts=accounts, months=months, shipped=shipped, reference=reference
        )
    finally:
        await database.close()


@pytest.mark.parametrize("seed", [1, 2])
async def test_simulated_months_agree_with_the_reference(database_url: str, seed: int) -> None:
    outcome = await run(database_url, seed=seed)

    assert (outcome.accounts, outcome.crashes > 0, outcome.calls > 50) == (2, True, True)
    assert outcome.kinds.keys() >= {"Subscription", "Payment", "Adjustment", "Settle"}


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(20, 25))
async def test_a_simulated_year_with_everything_in_it_agrees_with_the_reference(database_url: str, seed: int) -> None:
    outcome = await run(database_url, seed=seed, accounts=3, months=12)

    happened = {"Subscription", "Settings", "Rerating", "CallRefund", "Reversal", "PriceBook", "Payment", "Adjustment"}
    assert outcome.kinds.keys() >= happened
    moved = {name.partition(":")[0] for (name, _), balance in outcome.totals.items() if balance}
    assert moved >= {"breakage", "goodwill", "receivable", "used", "revenue", "debts", "stripe_clearing"}


async def test_a_ledger_that_differs_is_found_and_the_steps_before_it_are_told(database_url: str) -> None:
    with pytest.raises(DifferenceError, match=r"(?s)seed 1 differs at step .*debt .*before it:.*Step\("):
        await run(database_url, seed=1, reference=Forgetful(PLANS))


def test_a_seed_makes_the_same_year_and_another_seed_another() -> None:
    first = steps.PriceBook(1, STARTS, driving.FIRST_RATES)

    def made(seed: int) -> list[steps.Step]:
        return list(year(seed, accounts=3, months=2, first=first))

    assert made(5) == made(5) != made(6)
    assert replace(first, version=2) != first


def test_some_seed_of_a_year_holds_all_that_can_happen() -> None:
    first = steps.PriceBook(1, STARTS, driving.FIRST_RATES)
    made = [one for step in year(20, accounts=3, months=12, first=first) for one in step.happenings]

    assert {type(one).__name__ for one in made} == {kind.__name__ for kind in ALL}
    subscribed = [one for one in made if isinstance(one, steps.Subscription)]
    assert {one.plan_id for one in subscribed} == {plan.plan_id for plan in PLANS.values() if not plan.is_free}
    assert {one.is_active for one in subscribed} == {True, False}


ALL = {
    steps.PriceBook,
    steps.SignUp,
    steps.Subscription,
    steps.Settings,
    steps.Payment,
    steps.Reversal,
    steps.Call,
    steps.Adjustment,
    steps.CallRefund,
    steps.Rerating,
    steps.Settle,
}


class Forgetful(Reference):
    """A reference that forgets to pay debt first stands for a ledger that does."""

    def repay(self, party: Party, pot: Pot) -> None:
        """Nothing is repaid."""
