"""What journals, Kafka and the ledger's tables say about calls, read from outside."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer

from sandbox.faregate import Faregate
from sandbox.stack.topics import end_offsets

USAGE = "gateway.usage-recorded.v1"
NANO = Decimal(10**9)
READ_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Charge:
    """A row of the ledger."""

    id: UUID
    account_id: UUID
    outcome: str
    price_nano: int

    @property
    def credits(self) -> Decimal:
        return self.price_nano / NANO


@dataclass(frozen=True, slots=True)
class Equation:
    """The sides of money.md 31, for everything that an installation has ever admitted."""

    journalled: list[UUID]
    used: set[UUID]
    charged: list[UUID]
    dead_letters: int
    parked: int

    @property
    def holds(self) -> bool:
        once = len(self.journalled) == len(set(self.journalled)) and len(self.charged) == len(set(self.charged))
        return once and set(self.journalled) == self.used == set(self.charged) and not self.dead_letters + self.parked

    def __str__(self) -> str:
        journalled, charged = set(self.journalled), set(self.charged)
        return (
            f"{len(self.journalled)} journalled, {len(self.used)} used, {len(self.charged)} charged, "
            f"{self.dead_letters} dead letters, {self.parked} parked; "
            f"journalled and not used: {_some(journalled - self.used)}; used and not charged: "
            f"{_some(self.used - charged)}; used and not journalled: {_some(self.used - journalled)}"
        )


class Books:
    """Of one running Faregate."""

    def __init__(self, faregate: Faregate) -> None:
        self._faregate = faregate

    async def charges(self, account_id: str) -> list[Charge]:
        rows = await self._rows(
            "SELECT id, account_id, outcome, price_nano FROM charge WHERE account_id = $1", UUID(account_id)
        )
        return [Charge(**row) for row in rows]

    async def outcomes(self, account_id: str) -> Counter[str]:
        return Counter(charge.outcome for charge in await self.charges(account_id))

    async def equation(self) -> Equation:
        return Equation(
            journalled=await self._journalled(),
            used=set(await self._usage_ids()),
            charged=[row["id"] for row in await self._rows("SELECT id FROM charge")],
            dead_letters=sum((await end_offsets(self._faregate.stack.kafka_bootstrap, {f"{USAGE}.dlq"})).values()),
            parked=(await self._rows("SELECT count(*) AS parked FROM parked"))[0]["parked"],
        )

    async def _rows(self, query: str, *arguments: object) -> Iterable[asyncpg.Record]:
        connection = await asyncpg.connect(self._faregate.stack.database_url("ledger"))
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def _journalled(self) -> list[UUID]:
        """As an operator asks for them."""
        now = datetime.now(UTC)
        window = ("--from", f"{now - timedelta(hours=2):%Y-%m-%dT%H:%M:%S}")
        window += ("--to", f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "journal", "ids", *window),
            *("--state", str(self._faregate.folder / "gateway")),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return [UUID(line.split()[1]) for line in output.decode().splitlines()]

    async def _usage_ids(self) -> list[UUID]:
        bootstrap = self._faregate.stack.kafka_bootstrap
        ends = {partition: end for partition, end in (await end_offsets(bootstrap, {USAGE})).items() if end}
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        found: list[UUID] = []
        async with asyncio.timeout(READ_TIMEOUT_S), consumer:
            consumer.assign(list(ends))
            await consumer.seek_to_beginning(*ends)
            while ends and any([await consumer.position(one) < end for one, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [UUID(json.loads(record.value)["id"]) for record in records]
        return found


def _some(ids: set[UUID]) -> str:
    return (
        ", ".join(str(one) for one in sorted(ids)[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "") or "none"
    )
