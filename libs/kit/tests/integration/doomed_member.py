"""A member of a consumer group in a process of its own, to be killed: says each id that it applied."""

import asyncio
import sys

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.auth import AccountActivated
from kit.clock import SystemClock
from kit.consumer import Consumer
from kit.database import Database
from kit.runner import Runner


async def main(bootstrap: str, database_url: str, group: str) -> None:
    consumer = Consumer(group)

    @consumer.on(AccountActivated)
    async def on_activated(_session: AsyncSession, event: AccountActivated) -> None:
        sys.stdout.write(f"{event.id}\n")
        sys.stdout.flush()

    database = Database(database_url, source="ledger")
    await Runner(consumer, database=database, bootstrap=bootstrap, clock=SystemClock()).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
