"""What time does to notices: ends that come near are told, what is old is forgotten."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from services.notifier.tests import factories
from services.notifier.tests.running import Surroundings
from sqlalchemy import text

from kit.clock import ManualClock, SystemClock
from notifier.domain.delivering import Claimed, Notice, Outcome, Patience, State
from notifier.domain.feeding import Reader
from notifier.domain.kinds import Audience
from notifier.entrypoints.keeper import Keeper
from notifier.repository.deliveries import insert_delivery
from notifier.service import feed
from notifier.service.deliveries import Deliveries
from notifier.service.noticing.queue import NoticeQueue
from notifier.service.noticing.subscriptions import SubscriptionNotices

KEEP_DAYS = 400


def keeper(around: Surroundings, clock: ManualClock) -> Keeper:
    subscriptions = SubscriptionNotices(NoticeQueue(clock=clock), clock=clock)
    return Keeper(around.database, subscriptions=subscriptions, keep_days=KEEP_DAYS, clock=clock, wake=lambda: None)


async def hear(around: Surroundings, clock: ManualClock, account_id: UUID, *, version: int = 1, **state: Any) -> None:
    event = factories.subscription_changed(account_id, f"sub_{account_id.hex}", version=version, **state)
    async with around.database.transaction() as session:
        await SubscriptionNotices(NoticeQueue(clock=clock), clock=clock).queue_change(session, event)


async def kinds_of(around: Surroundings, account_id: UUID) -> list[str]:
    return [row["kind"] for row in await around.rows("account_id = :account", account=account_id)]


async def test_the_end_of_a_trial_is_told_once_three_days_before(surround) -> None:
    clock, account_id = ManualClock(SystemClock().now()), uuid4()
    ends_at = clock.now() + timedelta(days=14)
    async with surround() as around:
        await hear(around, clock, account_id, status="trialing", trial_end=ends_at)
        clock.advance(11 * 86_400 - 60)
        await keeper(around, clock).once()
        before = await kinds_of(around, account_id)
        clock.advance(120)
        for _ in range(2):
            await keeper(around, clock).once()
        rows = await around.rows("account_id = :account", account=account_id)

    assert before == ["subscription-changed"]
    assert [row["kind"] for row in rows] == ["subscription-changed", "trial-ending"]
    assert rows[1]["payload"] == {"plan": "starter", "ends_at": ends_at.isoformat()}


async def test_a_trial_that_became_a_subscription_is_not_told_to_end(surround) -> None:
    clock, account_id = ManualClock(SystemClock().now()), uuid4()
    async with surround() as around:
        await hear(around, clock, account_id, status="trialing", trial_end=clock.now() + timedelta(days=14))
        await hear(around, clock, account_id, version=2, status="active")
        clock.advance(12 * 86_400)
        await keeper(around, clock).once()

        assert await kinds_of(around, account_id) == ["subscription-changed", "subscription-changed"]


async def test_a_debtor_is_told_the_day_before_the_plan_stops_and_no_more_after_it(surround) -> None:
    clock, soon, late = ManualClock(SystemClock().now()), uuid4(), uuid4()
    async with surround() as around:
        await hear(around, clock, soon, status="past_due", grace_until=clock.now() + timedelta(days=3))
        await hear(around, clock, late, status="past_due", grace_until=clock.now() + timedelta(days=2))
        clock.advance(2.5 * 86_400)
        await keeper(around, clock).once()

        assert await kinds_of(around, soon) == ["subscription-changed", "grace-ending"]
        assert await kinds_of(around, late) == ["subscription-changed"]


async def test_what_was_settled_long_ago_is_forgotten_with_its_marks_and_what_waits_is_not(surround) -> None:
    clock, account_id, user_id = ManualClock(SystemClock().now()), uuid4(), uuid4()
    reader = Reader.of(user_id=user_id, account_id=account_id, role="owner")
    async with surround() as around:
        old, waiting = [await queue(around, clock, account_id) for _ in range(2)]
        await settle(around, clock, old)
        async with around.database.transaction() as session:
            await feed.mark_one(session, reader, old, now=clock.now())
        clock.advance(KEEP_DAYS * 86_400 - 60)
        recent = await queue(around, clock, account_id)
        await keeper(around, clock).once()
        kept = await ids(around)
        clock.advance(120)
        await keeper(around, clock).once()
        left = await ids(around)
        async with around.database.reading() as session:
            marks = await session.scalar(text("SELECT count(*) FROM feed_read"))

    assert kept == {old, waiting, recent}
    assert left == {waiting, recent}
    assert marks == 0


async def queue(around: Surroundings, clock: ManualClock, account_id: UUID) -> UUID:
    notice = Notice(
        dedupe_key=uuid4().hex,
        kind="payment-received",
        audience=Audience.ACCOUNT,
        occurred_at=clock.now(),
        account_id=account_id,
    )
    delivery_id = uuid4()
    async with around.database.transaction() as session:
        await insert_delivery(session, notice, delivery_id=delivery_id, now=clock.now())
    return delivery_id


async def settle(around: Surroundings, clock: ManualClock, delivery_id: UUID) -> None:
    deliveries = Deliveries(clock=clock, patience=Patience(), lease_s=60)
    async with around.database.transaction() as session:
        claimed: list[Claimed] = await deliveries.claim(session, limit=10)
        (mine,) = [one for one in claimed if one.id == delivery_id]
        await deliveries.settle(session, mine, Outcome(state=State.SENT))


async def ids(around: Surroundings) -> set[UUID]:
    return {row["id"] for row in await around.rows()}
