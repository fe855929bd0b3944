"""A ledger without Kafka: batches of records in, rows and outbox out."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy import text

from contracts.event import Event
from contracts.ledger import BalanceChanged
from kit import outbox, parking
from kit.clock import ManualClock
from kit.database import Database
from kit.received import StoredRecord
from ledger.domain.conservation import Books
from ledger.entrypoints.events import UseCases, build_consumer
from ledger.service.accounts import Accounts
from ledger.service.adjusting import Adjusted, Adjusting, Adjustment
from ledger.service.booking import Booking
from ledger.service.budgeting import Budgeting
from ledger.service.catalogue import Catalogue, publish_first_book
from ledger.service.checking import check_books
from ledger.service.granting import Granting
from ledger.service.reading import Balance, Reading
from ledger.service.reversing import Reversing
from ledger.settings import SHIPPED_BOOK


class Ledger:
    """What a consumer process does, driven by hand."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database, self.clock = database, clock
        catalogue = Catalogue()
        self.catalogue = catalogue
        use = UseCases(
            accounts=Accounts(catalogue, clock),
            granting=Granting(catalogue, clock),
            reversing=Reversing(catalogue, clock),
            booking=Booking(catalogue, clock, 10),
            budgeting=Budgeting(catalogue, clock),
        )
        self.consumer = build_consumer(use)
        self.reading = Reading(catalogue, clock)
        self._adjusting = Adjusting(catalogue, clock)
        self._offset = 0

    async def deliver(self, *events: Event | bytes, topic: str = "gateway.usage-recorded.v1") -> None:
        """One batch, one transaction; then what it released."""
        await self.deliver_records([self._record(event, topic) for event in events])

    async def deliver_records(self, records: Sequence[StoredRecord]) -> None:
        async with self.database.transaction() as session:
            await self.consumer.apply(session, records, clock=self.clock)
        while await self._released():
            pass

    async def _released(self) -> int:
        async with self.database.transaction() as session:
            records = await parking.list_released(session, "ledger", limit=100)
            if records:
                await self.consumer.apply(session, records, clock=self.clock)
                await parking.remove(session, "ledger", records)
            return len(records)

    def _record(self, event: Event | bytes, topic: str) -> StoredRecord:
        self._offset += 1
        if isinstance(event, bytes):
            return StoredRecord(topic, 0, self._offset, b"key", event)
        return StoredRecord(event.type, 0, self._offset, event.key.encode(), event.encode("test"))

    async def publish_prices(self) -> None:
        async with self.database.transaction() as session:
            await publish_first_book(session, SHIPPED_BOOK.read_text(), now=self.clock.now())

    async def balance(self, account_id: UUID) -> Balance:
        async with self.database.reading() as session:
            return await self.reading.balance(session, account_id)

    async def available(self, account_id: UUID) -> int:
        return (await self.balance(account_id)).available_nano

    async def debt(self, account_id: UUID) -> int:
        return (await self.balance(account_id)).account.debt_nano

    async def adjust(self, account_id: UUID, amount_nano: int, *, allow_debt: bool = False) -> Adjusted:
        wanted = Adjustment(
            account_id=account_id,
            amount_nano=amount_nano,
            reason="a test",
            actor_user_id=uuid4(),
            expires_in_days=None,
            allow_debt=allow_debt,
        )
        async with self.database.transaction() as session:
            return await self._adjusting.adjust_credits(session, wanted)

    async def books(self) -> Books:
        async with self.database.reading() as session:
            return await check_books(session)

    async def rows(self, query: str, **values: Any) -> list[Any]:
        async with self.database.reading() as session:
            return list((await session.execute(text(query), values)).all())

    async def sent(self, event_type: str, account_id: UUID | None = None) -> list[dict[str, Any]]:
        """The data of the events of a type in the outbox, in order, with their ids."""
        rows = await self.rows("SELECT topic, key, value FROM outbox ORDER BY id")
        events = [orjson.loads(value or b"") for topic, _, value in outbox.unpacked(rows) if topic == event_type]
        data = [{**event.get("data", event), "event_id": event.get("id")} for event in events]
        return [one for one in data if account_id is None or one["account_id"] == str(account_id)]

    async def snapshots(self, account_id: UUID) -> list[dict[str, Any]]:
        """As their readers understand them: what has the contract's default is not told."""
        sent = await self.sent(BalanceChanged.type, account_id)
        return [
            {**BalanceChanged(**{**data, "id": data["event_id"], "time": self.clock.now()}).payload(), **data}
            for data in sent
        ]
