"""500 calls at once, from four gateway processes, on a balance for 50: never more than the balance, kills or not."""

import asyncio
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import pytest
from tests.e2e.fleet import ELASTIC_STEP_TOKENS, OUTPUT_CREDITS, OUTPUT_TOKENS, Fleet
from tests.e2e.raw_calls import Answer, Caller

pytestmark = [pytest.mark.proof, pytest.mark.timeout(180)]

CALLS = 500
WHOLE = {"max_tokens": OUTPUT_TOKENS, "scenario": f"text;output_tokens={OUTPUT_TOKENS};first_byte_ms=1200;delay_ms=0"}
# Twice as long as the first step of an elastic hold: what runs out, runs out in the middle.
STREAM = {
    "max_tokens": 2 * OUTPUT_TOKENS,
    "scenario": f"text;output_tokens={OUTPUT_TOKENS};tokens_per_delta=50;delay_ms=60",
    "stream": True,
}
Tell = Callable[[str, object], None]


async def spend(fleet: Fleet, caller: Caller, call: dict[str, object], *, killing: bool) -> list[Answer]:
    """All calls at once; two workers and the ledger die in the middle."""
    calling = asyncio.create_task(caller.many(CALLS, **call))
    if killing:
        await asyncio.sleep(1.0)
        for worker in fleet.workers()[:2]:
            worker.kill()
        await fleet.kill("ledger")
    answers = await calling
    if killing:
        await fleet.start("ledger")
        await fleet.until_all_serve()
    return answers


def statuses(answers: list[Answer]) -> Counter[int | None]:
    return Counter(answer.status for answer in answers)


@pytest.mark.parametrize("killing", [False, True], ids=["undisturbed", "with kills"])
async def test_a_strict_plan_never_spends_more_than_its_balance(
    fleet: Fleet, record_property: Tell, *, killing: bool
) -> None:
    payer, caller, balance = await fleet.payer()
    answers = await spend(fleet, caller, WHOLE, killing=killing)
    if killing:
        # What the dead processes held is given back by their journals, and can be spent, but not twice.
        await payer.settled()
        answers += await spend(fleet, caller, WHOLE, killing=False)

    left = await payer.settled()
    charges = await fleet.books.charges(payer.account_id)
    spent = sum((charge.credits for charge in charges), Decimal(0))
    record_property("spent", f"{spent} of {balance}, answers {statuses(answers)}")
    assert (left.debt, left.balance) == (0, balance - spent)
    assert {answer.call_id for answer in answers if answer.is_served} <= {one.id for one in charges if one.price_nano}
    assert {one.outcome for one in charges} <= ({"completed", "orphaned"} if killing else {"completed"})
    if not killing:
        assert set(statuses(answers)) == {200, 402}
        assert 50 <= statuses(answers)[200] == len(charges) <= 52
    else:
        # Whoever lost its process got nothing, or the beginning of an answer; nobody got a wrong one.
        assert set(statuses(answers)) <= {200, 402, 503, None}
    await fleet.until_booked()


@pytest.mark.parametrize("killing", [False, True], ids=["undisturbed", "with kills"])
async def test_an_elastic_plan_spends_at_most_a_step_a_call_beyond_its_balance(
    fleet: Fleet, record_property: Tell, *, killing: bool
) -> None:
    payer, caller, balance = await fleet.payer(elastic=True)
    answers = await spend(fleet, caller, STREAM, killing=killing)

    left = await payer.settled()
    charges = await fleet.books.charges(payer.account_id)
    spent = sum((charge.credits for charge in charges), Decimal(0))
    bound = len(charges) * ELASTIC_STEP_TOKENS * OUTPUT_CREDITS
    beyond = max(Decimal(0), spent - balance)
    outcomes = Counter(charge.outcome for charge in charges)
    told = f"beyond by {beyond}, bound {bound}, {outcomes}, answers {statuses(answers)}"
    record_property("spent", f"{spent} of {balance}, {told}")
    assert left.balance - left.debt == balance - spent
    assert beyond <= bound
    # More than fifty began on their first steps; those that ran dry ended with an error, as streams do.
    served = [answer for answer in answers if answer.is_served]
    ended = [answer for answer in answers if answer.has_error_event]
    assert len(charges) > 50
    assert ended
    assert set(statuses(answers)) <= ({200, 402, 503, None} if killing else {200, 402})
    if not killing:
        assert served
        assert len(served) + len(ended) == statuses(answers)[200] == len(charges)
    await fleet.until_booked()
