"""Re-rating moves the difference, once, and gives back what a call itself took (money.md 23)."""

import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from factories import CREDIT, MODEL, Factory
from harness import Ledger

from contracts.gateway import Counts, IterationCounts
from kit.clock import ManualClock
from ledger.domain.rerating import Booked, Correction, Price, Rerater
from ledger.errors import RefundError, UnknownPriceBookError
from ledger.repository.rerating import Span
from ledger.service.catalogue import publish_book
from ledger.service.refunding import Refund, Refunding
from ledger.service.rerating import Rerating
from ledger.service.verifying import Verifying
from ledger.settings import SHIPPED_BOOK
from rating import TokenCounts, Usage, charge, parse_book

NewAccount = Callable[[], Awaitable[UUID]]
CLASSES = tuple(Counts.model_fields)[:5]
HALF_NANO = 1_725_000
CALL_NANO = 3_450_000


class Bench:
    """A ledger with a second price book: the model's input costs something else."""

    def __init__(self, ledger: Ledger, make: Factory, clock: ManualClock) -> None:
        self.ledger, self.make, self.clock = ledger, make, clock
        self.rerating = Rerating(ledger.database, ledger.catalogue, clock)
        self.started = clock.now()

    async def publish(self, *, input_credits: str) -> int:
        """The next version: what the model's input costs per million tokens."""
        text = self.text(input_credits)
        async with self.ledger.database.transaction() as session:
            book = await publish_book(
                session, text, now=self.clock.now(), effective_at=self.clock.now() + timedelta(minutes=6)
            )
        return book.version

    @staticmethod
    def text(input_credits: str) -> str:
        shipped = SHIPPED_BOOK.read_text()
        start = shipped.index(f"[models.{MODEL}]")
        return shipped[:start] + shipped[start:].replace('input = "3"', f'input = "{input_credits}"', 1)

    def span(self, account_id: UUID | None = None) -> Span:
        return Span(self.started - timedelta(days=1), self.clock.now() + timedelta(minutes=1), account_id)

    async def corrections(self, account_id: UUID) -> list[tuple[int, int]]:
        rows = await self.ledger.rows(
            "SELECT n, price_nano FROM charge_correction WHERE account_id = :id ORDER BY call_id, n", id=account_id
        )
        return [(row.n, row.price_nano) for row in rows]


@pytest.fixture
def bench(ledger: Ledger, make: Factory, clock: ManualClock) -> Bench:
    return Bench(ledger, make, clock)


async def test_the_preview_shows_the_difference_and_moves_nothing(bench: Bench, account: NewAccount) -> None:
    account_id = await account()
    await bench.ledger.deliver(bench.make.usage(account_id), bench.make.usage(account_id))
    version = await bench.publish(input_credits="1.5")

    shown = await bench.rerating.preview(bench.span(account_id), version=version)

    assert (shown.charges, shown.total.corrected, shown.total.price_nano) == (2, 2, -2 * HALF_NANO)
    assert await bench.ledger.available(account_id) == 5 * CREDIT - 2 * CALL_NANO


async def test_a_cheaper_price_gives_back_into_the_grant_that_paid_and_twice_changes_nothing(
    bench: Bench, account: NewAccount
) -> None:
    account_id = await account()
    await bench.ledger.deliver(bench.make.usage(account_id), bench.make.usage(account_id))
    version = await bench.publish(input_credits="1.5")

    first = await bench.rerating.book(bench.span(account_id), version=version)
    again = await bench.rerating.book(bench.span(account_id), version=version)

    assert (first.total.price_nano, again.total.corrected) == (-2 * HALF_NANO, 0)
    assert await bench.ledger.available(account_id) == 5 * CREDIT - 2 * HALF_NANO
    assert await bench.corrections(account_id) == [(1, HALF_NANO), (1, HALF_NANO)]


async def test_a_dearer_price_is_charged_and_what_nothing_covers_is_debt(bench: Bench, account: NewAccount) -> None:
    account_id = await account()
    tokens = 5 * CREDIT // 3450
    await bench.ledger.deliver(bench.make.usage(account_id, tokens=tokens))
    left = await bench.ledger.available(account_id)
    version = await bench.publish(input_credits="6")

    found = await bench.rerating.book(bench.span(account_id), version=version)

    assert found.total.price_nano == tokens * 3450
    assert await bench.ledger.available(account_id) == 0
    assert await bench.ledger.debt(account_id) == tokens * 3450 - left


async def test_there_and_back_leaves_the_balance_as_it_was(bench: Bench, account: NewAccount) -> None:
    account_id = await account()
    await bench.ledger.deliver(bench.make.usage(account_id))
    before = await bench.ledger.available(account_id)
    dearer = await bench.publish(input_credits="9")

    await bench.rerating.book(bench.span(account_id), version=dearer)
    await bench.rerating.book(bench.span(account_id), version=1)

    assert await bench.ledger.available(account_id) == before
    assert await bench.corrections(account_id) == [(1, 3 * CALL_NANO), (2, CALL_NANO)]


async def test_what_would_fall_into_an_expired_grant_is_given_for_thirty_days(
    bench: Bench, account: NewAccount, clock: ManualClock
) -> None:
    account_id = await account()
    await bench.ledger.deliver(bench.make.usage(account_id))
    version = await bench.publish(input_credits="1.5")
    clock.advance(timedelta(days=20).total_seconds())

    await bench.rerating.book(bench.span(account_id), version=version)

    (grant,) = (await bench.ledger.balance(account_id)).grants
    assert (grant.source, grant.remaining) == ("adjustment", HALF_NANO)
    assert grant.expires_at == clock.now() + timedelta(days=30)


async def test_the_last_burn_is_given_back_first(bench: Bench, account: NewAccount) -> None:
    account_id = await account()
    bench.clock.advance(1)
    payment = bench.make.settled(account_id)
    await bench.ledger.deliver(payment)
    tokens = 6 * CREDIT // 3450
    await bench.ledger.deliver(bench.make.usage(account_id, tokens=tokens))
    version = await bench.publish(input_credits="2.7")

    await bench.rerating.book(bench.span(account_id), version=version)

    grants = {grant.source.value: grant.remaining for grant in (await bench.ledger.balance(account_id)).grants}
    # The trial was taken whole and stays so; the bundle gets its share back.
    assert grants == {"bundle": 10 * CREDIT + 5 * CREDIT - tokens * 3105}


async def test_debt_that_a_call_made_is_forgiven_first(bench: Bench, account: NewAccount) -> None:
    account_id = await account()
    await bench.ledger.deliver(bench.make.usage(account_id, tokens=2 * 5 * CREDIT // 3450))
    version = await bench.publish(input_credits="1.5")

    await bench.rerating.book(bench.span(account_id), version=version)

    assert await bench.ledger.debt(account_id) == 0


async def test_a_run_that_was_cut_off_goes_on_and_corrects_each_call_once(bench: Bench, account: NewAccount) -> None:
    account_id = await account()
    calls = [bench.make.usage(account_id) for _ in range(7)]
    await bench.ledger.deliver(*calls)
    version = await bench.publish(input_credits="1.5")
    rerating = Rerating(bench.ledger.database, bench.ledger.catalogue, bench.clock, booked_at_once=3)

    def stop(charges: int) -> None:
        if charges >= 3:
            raise KeyboardInterrupt

    span = bench.span(account_id)
    with pytest.raises(KeyboardInterrupt):
        await rerating.book(span, version=version, progress=stop)
    rest = await rerating.book(span, version=version)

    assert (rest.resumed, rest.charges) == (True, 4)
    assert await bench.corrections(account_id) == [(1, HALF_NANO)] * 7


async def test_a_run_that_reads_in_many_pieces_rates_every_call_once(bench: Bench, account: NewAccount) -> None:
    accounts = [await account() for _ in range(3)]
    await bench.ledger.deliver(*(bench.make.usage(account_id) for account_id in accounts * 4))
    cheaper, dearer = await bench.publish(input_credits="1.5"), await bench.publish(input_credits="9")
    rerating = Rerating(bench.ledger.database, bench.ledger.catalogue, bench.clock, booked_at_once=2, read_at_once=4)

    # The first moves what is whole, the second what is corrected already.
    for version, price_nano in ((cheaper, HALF_NANO), (dearer, 3 * CALL_NANO)):
        for account_id in accounts:
            found = await rerating.book(bench.span(account_id), version=version)
            assert (found.charges, found.total.corrected) == (4, 4)
            assert (await bench.corrections(account_id))[-1][1] == price_nano
    assert (await Verifying(bench.ledger.database).verify_account(accounts[0])).findings == []


async def test_what_another_run_or_a_refund_moved_since_the_page_was_read_is_not_moved_again(
    bench: Bench, account: NewAccount
) -> None:
    """(money.md 23): pages are read ahead of the locks, so what stands of a call is asked for again under them."""
    account_id = await account()
    calls = [bench.make.usage(account_id) for _ in range(2)]
    await bench.ledger.deliver(*calls)
    version, span = await bench.publish(input_credits="1.5"), bench.span(account_id)
    rerating = bench.rerating
    async with aclosing(rerating._pages(span, after=None, most=None, page=10, is_corrected=True)) as pages:
        page = await anext(pages)
    stale = [Correction(call, Price(HALF_NANO, call.cost_nano // 2)) for call in page]

    await _refund(bench, account_id, page[0].call_id)
    await rerating.book(span, version=version)
    async with bench.ledger.database.transaction() as session:
        moved = await rerating._move(session, stale, run_id=uuid4(), version=version)

    assert moved == []
    assert await bench.ledger.available(account_id) == 5 * CREDIT - HALF_NANO
    assert await bench.corrections(account_id) == [(1, HALF_NANO)] * 2


async def test_a_call_that_was_refunded_is_not_given_back_twice(bench: Bench, account: NewAccount) -> None:
    account_id = await account()
    usage = bench.make.usage(account_id)
    await bench.ledger.deliver(usage)
    await _refund(bench, account_id, usage.id)
    version = await bench.publish(input_credits="1.5")

    await bench.rerating.book(bench.span(account_id), version=version)

    assert await bench.ledger.available(account_id) == 5 * CREDIT


async def test_the_days_sums_follow_and_so_does_what_was_earned(bench: Bench, account: NewAccount) -> None:
    """(money.md 3): a bundle of 10 credits was bought for 10 dollars, so what it loses was earned once."""
    account_id = await account()
    await bench.ledger.adjust(account_id, -5 * CREDIT)
    key = uuid4()
    paid = bench.make.settled(account_id)
    calls = [bench.make.usage(account_id, api_key_id=key), bench.make.usage(account_id)]
    await bench.ledger.deliver(paid, *calls)
    cheaper, dearer = await bench.publish(input_credits="1.5"), await bench.publish(input_credits="9")

    days = []
    for version in (cheaper, dearer, 1):
        await bench.rerating.book(bench.span(account_id), version=version)
        rows = await bench.ledger.rows(
            "SELECT calls, price_nano, cost_nano, recognised_nano FROM usage_day WHERE account_id = :id", id=account_id
        )
        assert len(set(map(tuple, rows))) == 1
        assert len(rows) == 2, "one per key"
        days.append(tuple(rows[0]))

    assert days == [(1, price, cost, price) for price, cost in RERATED]
    assert (await Verifying(bench.ledger.database).verify_account(account_id)).findings == []


RERATED = ((HALF_NANO, 1_500_000), (3 * CALL_NANO, 9_000_000), (CALL_NANO, 3_000_000))


async def test_what_was_given_anew_is_not_given_again(bench: Bench, account: NewAccount, clock: ManualClock) -> None:
    """(money.md 23): a refund into a new grant counts as given back, though the grant that paid is over."""
    account_id = await account()
    usage = bench.make.usage(account_id)
    await bench.ledger.deliver(usage)
    version = await bench.publish(input_credits="1.5")
    clock.advance(timedelta(days=20).total_seconds())
    await _refund(bench, account_id, usage.id)

    await bench.rerating.book(bench.span(account_id), version=version)

    assert await bench.ledger.available(account_id) == CALL_NANO
    with pytest.raises(RefundError):
        await _refund(bench, account_id, usage.id)


async def test_what_a_correction_charged_is_the_first_to_be_given_back(bench: Bench, account: NewAccount) -> None:
    account_id = await account()
    usage = bench.make.usage(account_id, tokens=5 * CREDIT // 3450)
    await bench.ledger.deliver(usage)
    dearer, nearly = await bench.publish(input_credits="3.3"), await bench.publish(input_credits="3.1")
    cheaper = await bench.publish(input_credits="2.9")

    for version in (cheaper, dearer, nearly):
        await bench.rerating.book(bench.span(account_id), version=version)

    # The trial got back what it had given too much, gave it again, and was not given more than it had.
    (trial,) = await bench.ledger.rows(
        'SELECT amount, remaining, burnt FROM "grant" WHERE account_id = :id', id=account_id
    )
    assert (trial.remaining, trial.burnt) == (0, trial.amount)
    assert await bench.ledger.debt(account_id) == usage.counts.input_tokens * 3565 - trial.amount


async def test_an_unknown_version_is_refused_and_an_unpriced_call_stays(bench: Bench, account: NewAccount) -> None:
    account_id = await account()
    await bench.ledger.deliver(bench.make.usage(account_id))

    with pytest.raises(UnknownPriceBookError):
        await bench.rerating.preview(bench.span(account_id), version=99)
    assert await bench.ledger.available(account_id) == 5 * CREDIT - CALL_NANO


def test_the_fast_way_prices_as_the_exact_one() -> None:
    book = parse_book(SHIPPED_BOOK.read_text(), version=1)
    chance, at = random.Random(5), datetime.fromisoformat("2026-11-20T00:00:00+00:00")
    rerater = Rerater(book, {})
    for _ in range(2_000):
        model = chance.choice(sorted(book.models))
        counts = [chance.choice((0, 1, 999, 150_000, 900_000)) for _ in range(5)]
        markup = chance.choice((0, 1, 1500, 9_999))
        call = Booked(
            uuid4(), uuid4(), 0, 0, "completed", markup, model, at, None, None, 0, 0, 0, *counts, 0, 0, 0,
            None, None, chance.choice((None, "standard", "batch")), None, None, 1, 2,
        )  # fmt: skip
        usage = Usage(counts=TokenCounts(**dict(zip(CLASSES, counts, strict=True))), service_tier=call.service_tier)
        exact = charge(book, usage, model=model, at=at, markup_bps=markup)
        assert rerater.price(call) == (exact.price_nano, exact.cost_nano)


async def test_iterations_are_rated_at_their_own_model(bench: Bench, account: NewAccount) -> None:
    account_id = await account()
    inner = (IterationCounts(model=MODEL, counts=Counts(input_tokens=1000)),)
    await bench.ledger.deliver(bench.make.usage(account_id, iterations=inner))
    version = await bench.publish(input_credits="1.5")

    found = await bench.rerating.preview(bench.span(account_id), version=version)

    assert found.total.price_nano == -2 * HALF_NANO


async def _refund(bench: Bench, account_id: UUID, call_id: UUID) -> None:
    wanted = Refund(account_id=account_id, request_id=call_id, amount_nano=None, reason="a test", actor_user_id=uuid4())
    refunding = Refunding(bench.ledger.catalogue, bench.clock)
    async with bench.ledger.database.transaction() as session:
        await refunding.refund_call(session, wanted)
