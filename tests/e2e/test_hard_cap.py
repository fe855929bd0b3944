"""Hundreds of calls at once, from four gateway processes, on a balance for 50: never more than it, kills or not."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import psutil
import pytest
from tests.e2e.books import Charge
from tests.e2e.fleet import ELASTIC_STEP_TOKENS, OUTPUT_CREDITS, OUTPUT_TOKENS, STRICT_CREDITS, Fleet, Payer
from tests.e2e.raw_calls import Answer, Caller

from sandbox.demo.customer import until

pytestmark = [pytest.mark.proof, pytest.mark.timeout(180)]

Tell = Callable[[str, object], None]
Call = dict[str, object]

# Holds are a little more than prices, so this much may be left when nothing more is admitted.
MOST_LEFT = STRICT_CREDITS / 10
# As many as elastic holds leave room for at most: one step each, and their prompts.
MOST_OPEN = 110
# A worker with fewer connections serves no streams, but somebody's page.
SOME = 4


@pytest.fixture
def calls() -> int:
    return 500


def whole(*, first_byte_ms: int) -> Call:
    """A strict call; its answer comes at once, after a while."""
    scenario = f"text;output_tokens={OUTPUT_TOKENS};first_byte_ms={first_byte_ms};delay_ms=0"
    return {"max_tokens": OUTPUT_TOKENS, "scenario": scenario}


def stream(*, delay_ms: int) -> Call:
    """Twice as long as the first step of an elastic hold: what runs out, runs out in the middle."""
    scenario = f"text;output_tokens={OUTPUT_TOKENS};tokens_per_delta=50;delay_ms={delay_ms}"
    return {"max_tokens": 2 * OUTPUT_TOKENS, "scenario": scenario, "stream": True}


def statuses(answers: list[Answer]) -> Counter[int | None]:
    return Counter(answer.status for answer in answers)


@dataclass
class Spree:
    """All calls at once."""

    fleet: Fleet
    calling: list[asyncio.Task[Answer]] = field(default_factory=list)

    def begin(self, caller: Caller, count: int, call: Call) -> None:
        self.calling = [asyncio.create_task(caller.ask(**call)) for _ in range(count)]

    async def end(self) -> list[Answer]:
        return list(await asyncio.gather(*self.calling))

    async def kill_in_the_middle(self) -> tuple[int, int]:
        """The ledger, and all gateways that serve open calls but one; how many they served, and how many it does."""
        await until("every call's admission or refusal", self._all_are_decided, timeout_s=60)
        served = [(pid, count) for pid, count in self.fleet.streams().most_common() if count >= SOME]
        spared = 1 if len(served) > 1 else 0
        for pid, _ in served[: len(served) - spared]:
            psutil.Process(pid).kill()
        await self.fleet.kill("ledger")
        return sum(count for _, count in served[: len(served) - spared]), sum(count for _, count in served[-spared:])

    async def _all_are_decided(self) -> bool:
        open_calls = sum(not one.done() for one in self.calling)
        return open_calls <= MOST_OPEN


def check_kills(answers: list[Answer], charges: list[Charge], *, killed: int) -> None:
    """Who lost its process got half an answer at most and pays nothing; everybody else is charged."""
    orphans = {one.id for one in charges if one.outcome == "orphaned"}
    broken = {answer.call_id for answer in answers if answer.status == 200 and not answer.whole}
    ended = {answer.call_id for answer in answers if answer.status == 200 and answer.whole}
    charged = {one.id for one in charges if one.price_nano}
    assert killed >= len(orphans) > 0
    assert not orphans & (charged | ended)
    assert broken <= orphans | charged
    assert ended <= charged
    assert set(statuses(answers)) <= {200, 402, 503, None}


async def recover(fleet: Fleet) -> None:
    await fleet.start("ledger")
    await fleet.until_all_serve()


async def check_end(fleet: Fleet, payer: Payer, *, balance: Decimal) -> tuple[list[Charge], Decimal]:
    """Redis and the ledger agree, nothing is left over, every call is booked once; the charges, and what is left."""
    left = await payer.settled()
    assert await fleet.left_in_redis(payer) == {}
    charges = await fleet.books.charges(payer.account_id)
    spent = sum((charge.credits for charge in charges), Decimal(0))
    assert left.available == left.balance - left.debt == balance - spent
    await fleet.until_booked()
    return charges, left.available


async def test_a_strict_plan_never_spends_more_than_its_balance(
    fleet: Fleet, record_property: Tell, calls: int
) -> None:
    payer, caller, balance = await fleet.payer()
    spree = Spree(fleet)
    spree.begin(caller, calls, whole(first_byte_ms=1200))
    answers = await spree.end()

    charges, left = await check_end(fleet, payer, balance=balance)
    record_property("spent", f"{balance - left} of {balance}, answers {statuses(answers)}")
    assert left >= 0
    assert {answer.call_id for answer in answers if answer.is_served} == {one.id for one in charges if one.price_nano}
    assert {one.outcome for one in charges} == {"completed"}
    assert set(statuses(answers)) == {200, 402}
    assert 50 <= statuses(answers)[200] == len(charges) <= 52


async def test_a_strict_plan_never_spends_more_than_its_balance_when_gateways_and_ledger_die(
    fleet: Fleet, record_property: Tell, calls: int
) -> None:
    payer, caller, balance = await fleet.payer()
    spree = Spree(fleet)
    spree.begin(caller, calls, whole(first_byte_ms=4000))
    killed, spared = await spree.kill_in_the_middle()
    answers = await spree.end()
    await recover(fleet)
    await payer.settled()
    first = await fleet.books.charges(payer.account_id)
    check_kills(answers, first, killed=killed)
    # What the dead held was given back by their journals, and can be spent, but not twice.
    spree.begin(caller, calls, whole(first_byte_ms=300))
    again = await spree.end()

    charges, left = await check_end(fleet, payer, balance=balance)
    outcomes = Counter(charge.outcome for charge in charges)
    told = f"killed {killed}, spared {spared}, {outcomes}, answers {statuses(answers)}, then {statuses(again)}"
    record_property("spent", f"{balance - left} of {balance}, {told}")
    assert set(outcomes) == {"completed", "orphaned"}
    assert 0 <= left < MOST_LEFT
    assert {answer.call_id for answer in again if answer.is_served} <= {one.id for one in charges if one.price_nano}


async def test_an_elastic_plan_spends_at_most_a_step_a_call_beyond_its_balance(
    fleet: Fleet, record_property: Tell, calls: int
) -> None:
    payer, caller, balance = await fleet.payer(elastic=True)
    spree = Spree(fleet)
    spree.begin(caller, calls, stream(delay_ms=60))
    answers = await spree.end()

    charges, left = await check_end(fleet, payer, balance=balance)
    record_property("spent", told(answers, charges, left=left, balance=balance))
    check_bound(charges, left=left)
    # More than fifty began on their first steps; those that ran dry ended with an error, as streams do.
    served = [answer for answer in answers if answer.is_served]
    ended = [answer for answer in answers if answer.has_error_event]
    assert len(charges) > 50
    assert served
    assert ended
    assert set(statuses(answers)) == {200, 402}
    assert len(served) + len(ended) == statuses(answers)[200] == len(charges)


async def test_an_elastic_plan_spends_at_most_a_step_a_call_beyond_its_balance_when_gateways_and_ledger_die(
    fleet: Fleet, record_property: Tell, calls: int
) -> None:
    payer, caller, balance = await fleet.payer(elastic=True)
    spree = Spree(fleet)
    spree.begin(caller, calls, stream(delay_ms=150))
    killed, spared = await spree.kill_in_the_middle()
    answers = await spree.end()
    await recover(fleet)
    await payer.settled()
    first = await fleet.books.charges(payer.account_id)
    check_kills(answers, first, killed=killed)
    spree.begin(caller, calls, stream(delay_ms=10))
    again = await spree.end()

    charges, left = await check_end(fleet, payer, balance=balance)
    spent = told(answers + again, charges, left=left, balance=balance)
    record_property("spent", f"killed {killed}, spared {spared}, {spent}")
    check_bound(charges, left=left)
    assert len(charges) > 50
    # All that the dead held could be spent after them.
    assert left < MOST_LEFT
    assert {answer.call_id for answer in again if answer.status == 200} <= {one.id for one in charges}


def check_bound(charges: list[Charge], *, left: Decimal) -> None:
    paid = [charge for charge in charges if charge.price_nano]
    assert -left <= len(paid) * ELASTIC_STEP_TOKENS * OUTPUT_CREDITS


def told(answers: list[Answer], charges: list[Charge], *, left: Decimal, balance: Decimal) -> str:
    outcomes = Counter(charge.outcome for charge in charges)
    beyond = max(Decimal(0), -left)
    return f"{balance - left} of {balance}, beyond by {beyond}, {outcomes}, answers {statuses(answers)}"
