"""The ledger owns the price book: the first at once, each next one announced ahead."""

from datetime import timedelta
from uuid import uuid4

import pytest
from factories import CREDIT, Factory
from harness import Ledger

from kit.clock import ManualClock
from ledger.errors import LeadTimeError, PriceBookUnchangedError
from ledger.service.catalogue import list_books, publish_book
from ledger.settings import SHIPPED_BOOK

SOURCE = SHIPPED_BOOK.read_text()
DEARER = SOURCE.replace('markup_percent = "15"', 'markup_percent = "20"')


async def test_the_shipped_book_is_version_one_and_published_once(bare_ledger: Ledger) -> None:
    """(money.md 19)."""
    await bare_ledger.publish_prices()

    (event,) = await bare_ledger.sent("ledger.price-book-published.v1")
    assert (event["version"], event["book"]["markup_bps"]) == (1, 1500)


async def test_a_changed_book_needs_five_minutes_and_becomes_the_next_version(
    bare_ledger: Ledger, clock: ManualClock
) -> None:
    """(money.md 19)."""
    for text, effective_at, error in (
        (SOURCE, None, PriceBookUnchangedError),
        (DEARER, None, LeadTimeError),
        (DEARER, clock.now() + timedelta(minutes=4), LeadTimeError),
    ):
        with pytest.raises(error):
            async with bare_ledger.database.transaction() as session:
                await publish_book(session, text, now=clock.now(), effective_at=effective_at)
    async with bare_ledger.database.transaction() as session:
        await publish_book(session, DEARER, now=clock.now(), effective_at=clock.now() + timedelta(minutes=5))
        assert [row.version for row in await list_books(session)] == [1, 2]


async def test_the_markup_follows_the_book_in_force_and_charges_the_stamped_one(
    bare_ledger: Ledger, clock: ManualClock, make: Factory
) -> None:
    """(money.md 19)."""
    account_id = uuid4()
    async with bare_ledger.database.transaction() as session:
        await publish_book(session, DEARER, now=clock.now(), effective_at=clock.now() + timedelta(minutes=5))
    await bare_ledger.deliver(make.plan())
    await bare_ledger.deliver(make.created(account_id), make.activated(account_id))
    assert (await bare_ledger.snapshots(account_id))[-1]["markup_bps"] == 1500

    clock.advance(300)
    await bare_ledger.deliver(make.usage(account_id))

    assert (await bare_ledger.snapshots(account_id))[-1]["markup_bps"] == 2000
    assert await bare_ledger.available(account_id) == 5 * CREDIT - 3_450_000


async def test_a_call_that_waited_for_its_price_book_is_charged_when_it_comes(
    bare_ledger: Ledger, clock: ManualClock, make: Factory
) -> None:
    """(money.md 19, 24)."""
    account_id = uuid4()
    await bare_ledger.deliver(make.plan(), make.created(account_id), make.activated(account_id))
    await bare_ledger.deliver(make.usage(account_id, price_book_version=2, markup_bps=2000))
    assert await bare_ledger.available(account_id) == 5 * CREDIT

    async with bare_ledger.database.transaction() as session:
        await publish_book(session, DEARER, now=clock.now(), effective_at=clock.now() + timedelta(minutes=5))
    await bare_ledger.deliver()

    assert await bare_ledger.available(account_id) == 5 * CREDIT - 3_600_000
