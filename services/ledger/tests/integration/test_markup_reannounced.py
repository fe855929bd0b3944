"""A new price book's markup reaches every account that is subject to it, without a call."""

from datetime import timedelta
from uuid import uuid4

from factories import Factory
from harness import Ledger

from kit.clock import ManualClock
from ledger.service.accounts import Accounts
from ledger.service.catalogue import publish_book
from ledger.service.renewing import Renewal, Renewing
from ledger.settings import SHIPPED_BOOK

DEARER = SHIPPED_BOOK.read_text().replace('markup_percent = "15"', 'markup_percent = "20"')


async def test_a_new_markup_is_announced_once_it_holds_to_whom_it_concerns(
    bare_ledger: Ledger, clock: ManualClock, make: Factory
) -> None:
    """(money.md 4)."""
    ledger, own, agreed, sold = bare_ledger, uuid4(), uuid4(), uuid4()
    await ledger.deliver(make.plan(), make.plan("starter", default=False, markup_bps=900))
    for account_id in (own, agreed, sold):
        await ledger.deliver(make.created(account_id), make.activated(account_id))
    await ledger.deliver(make.subscription(sold, version=1, status="active"))
    async with ledger.database.transaction() as session:
        await Accounts(ledger.catalogue, clock).set_markup(session, agreed, 100)
        await publish_book(session, DEARER, now=clock.now(), effective_at=clock.now() + timedelta(minutes=5))
    renewal = Renewal(ledger.database, Renewing(ledger.catalogue, clock), clock)
    before = {account_id: len(await ledger.snapshots(account_id)) for account_id in (own, agreed, sold)}
    await renewal.once()

    clock.advance(300)
    await renewal.once()
    await renewal.once()

    after = {account_id: await ledger.snapshots(account_id) for account_id in before}
    assert [len(after[account_id]) - before[account_id] for account_id in before] == [1, 0, 0]
    assert [after[account_id][-1]["markup_bps"] for account_id in before] == [2000, 100, 900]
