"""What the ledger sees to ahead of time follows its clock, which a sandbox moves by months."""

import asyncio
from contextlib import suppress

from harness import Ledger

from kit.clock import ManualClock
from ledger.service.housekeeping import MONTHS_AHEAD, Housekeeping
from ledger.settings import SHIPPED_BOOK

MONTH_S = 31 * 86_400


async def test_partitions_stay_ahead_of_a_clock_that_jumps(bare_ledger: Ledger, clock: ManualClock) -> None:
    keeping = Housekeeping(bare_ledger.database, clock, SHIPPED_BOOK, look_s=0.02)
    task = asyncio.create_task(keeping.run())
    try:
        await until_partitioned(bare_ledger, clock)
        for _ in range(MONTHS_AHEAD):
            clock.advance(MONTH_S)

        await until_partitioned(bare_ledger, clock)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until_partitioned(ledger: Ledger, clock: ManualClock) -> None:
    """The clock's own month has a partition, and so have those ahead of it."""
    first = clock.now().year * 12 + clock.now().month - 1
    wanted = {f"charge_{n // 12}_{n % 12 + 1:02}" for n in range(first, first + MONTHS_AHEAD + 1)}
    async with asyncio.timeout(30):
        while wanted - await partitions(ledger):  # noqa: ASYNC110  # the task tells nobody
            await asyncio.sleep(0.02)


async def partitions(ledger: Ledger) -> set[str]:
    rows = await ledger.rows("SELECT inhrelid::regclass::text AS name FROM pg_inherits")
    return {row.name for row in rows}
