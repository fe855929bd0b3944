"""A second, slow ledger of plain Python comes to the same books, to the nano-credit."""

from dataclasses import replace

import pytest

from kit.database import Database
from ledger.settings import SHIPPED_BOOK
from ledger.simulation import driving, steps
from ledger.simulation.driving import DifferenceError, simulate
from ledger.simulation.reference import Reference
from ledger.simulation.year import STARTS, year


async def run(url: str, *, seed: int, accounts: int = 4, months: int = 4) -> driving.Outcome:
    database = Database(url, source="simulation")
    try:
        return await simulate(database, seed=seed, accounts=accounts, months=months, shipped=SHIPPED_BOOK.read_text())
    finally:
        await database.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_simulated_year_agrees_with_the_reference(database_url: str, seed: int) -> None:
    outcome = await run(database_url, seed=seed)

    assert (outcome.accounts, outcome.crashes > 0, outcome.calls > 200) == (4, True, True)
    assert {name for name, _ in outcome.totals} >= {"breakage", "debts", "disputes_held", "goodwill"}


async def test_a_ledger_that_differs_is_found_and_the_steps_before_it_are_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A reference that forgets to pay debt first stands for a ledger that does.
    monkeypatch.setattr(Reference, "_open", _open_without_repaying)

    with pytest.raises(DifferenceError, match=r"(?s)seed 1 differs at step .*debt is .*before it:.*Step\("):
        await run(database_url, seed=1)


def test_a_seed_makes_the_same_year_and_another_seed_another() -> None:
    first = steps.PriceBook(1, STARTS, driving.FIRST_RATES)

    def made(seed: int) -> list[steps.Step]:
        return list(year(seed, accounts=3, months=2, first=first))

    assert made(5) == made(5) != made(6)
    assert replace(first, version=2) != first


def _open_without_repaying(self: Reference, party: object, pot: object, source: str) -> None:
    pot.left = pot.amount
    party.pots.append(pot)
    self._move(source, "customers", pot.amount, pot.unit)
