"""What waits for more than a quarter of an hour is an alarm (money.md 24)."""

import asyncio
from typing import Any
from uuid import uuid4

from kit.metrics import PARKED, PARKED_AGE
from ledger.app import create_app


async def test_an_event_that_waits_for_more_than_fifteen_minutes_raises_an_alarm(prepared: Any, capfd: Any) -> None:
    app = create_app(prepared.settings(clock_offset_s=901.0), keys=prepared.signer)
    async with app.router.lifespan_context(app):
        await prepared.send(prepared.make.settled(uuid4()))
        await prepared.until("SELECT count(*) > 0 FROM parked")
        async with asyncio.timeout(20):
            while PARKED_AGE.labels("ledger")._value.get() < 900:  # noqa: ASYNC110  # a background task counts
                await asyncio.sleep(0.1)

    # Events of other tests, which share this Kafka, may wait as well.
    assert PARKED.labels("ledger")._value.get() >= 1
    written = capfd.readouterr()
    assert "kit.events_parked_too_long" in written.out + written.err
