"""Claims are leases: two workers never hold one delivery, and a late one cannot overwrite a newer attempt."""

import asyncio
from uuid import uuid4

from services.notifier.tests.running import Surroundings

from kit.clock import ManualClock
from notifier.domain.delivering import Notice, Outcome, Patience, State
from notifier.domain.kinds import Audience
from notifier.repository.deliveries import insert_delivery
from notifier.service.deliveries import Deliveries


async def queue(around: Surroundings, clock: ManualClock, *, count: int) -> None:
    async with around.database.transaction() as session:
        for _ in range(count):
            notice = Notice(
                dedupe_key=uuid4().hex,
                kind="payment-received",
                audience=Audience.ACCOUNT,
                occurred_at=clock.now(),
                account_id=uuid4(),
            )
            await insert_delivery(session, notice, delivery_id=uuid4(), now=clock.now())


async def claim(around: Surroundings, deliveries: Deliveries, *, limit: int):
    async with around.database.transaction() as session:
        claimed = await deliveries.claim(session, limit=limit)
        await asyncio.sleep(0.2)
        return claimed


async def test_two_workers_claim_different_deliveries_and_a_lease_that_ended_is_claimed_again(surround) -> None:
    clock = ManualClock()
    deliveries = Deliveries(clock=clock, patience=Patience(), lease_s=60)
    async with surround() as around:
        await queue(around, clock, count=6)

        first, second = await asyncio.gather(claim(around, deliveries, limit=4), claim(around, deliveries, limit=4))
        nothing = await claim(around, deliveries, limit=9)
        clock.advance(61)
        again = await claim(around, deliveries, limit=9)

    assert len(first) + len(second) == 6
    assert not {one.id for one in first} & {one.id for one in second}
    assert nothing == []
    assert [one.attempts for one in again] == [2] * 6


async def test_an_attempt_whose_lease_ended_does_not_overwrite_the_one_after_it(surround) -> None:
    clock = ManualClock()
    deliveries = Deliveries(clock=clock, patience=Patience(), lease_s=60)
    async with surround() as around:
        await queue(around, clock, count=1)
        slow = (await claim(around, deliveries, limit=1))[0]
        clock.advance(61)
        quick = (await claim(around, deliveries, limit=1))[0]
        async with around.database.transaction() as session:
            await deliveries.settle(session, quick, Outcome(state=State.SENT))
        async with around.database.transaction() as session:
            await deliveries.settle(session, slow, Outcome(state=State.FAILED, reason="too late"))

        rows = await around.rows()

    assert [(row["state"], row["reason"]) for row in rows] == [("sent", None)]
