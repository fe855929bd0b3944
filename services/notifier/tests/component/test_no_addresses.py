"""Addresses and links are nowhere but in the mails themselves."""

from signal import SIGTERM
from uuid import uuid4

from services.notifier.tests import factories
from services.notifier.tests.running import own_process, until
from services.notifier.tests.stand_in_auth import StandInAuth

from contracts.notifier import DeliveryFailed
from sandbox.testing import KafkaRecords


async def test_no_address_and_no_link_appears_in_logs_rows_or_events(
    surround, auth: StandInAuth, kafka_records: KafkaRecords
) -> None:
    marker = f"marker{uuid4().hex}"
    async with surround() as around:
        async with own_process(around, log_level="DEBUG") as process:
            message_id = auth.message(f"{marker}@mail.example", link=f"http://127.0.0.1/verify?token={marker}")
            accounts = [
                auth.account(f"{name}+{marker}@mail.example")
                for name in ("ada", "bounce", "tempfail", "not an address")
            ]
            await around.deliver(
                factories.message_requested(message_id),
                *(factories.payment_settled(account_id) for account_id in accounts),
            )

            async def settled() -> bool:
                return len(await around.rows("state IN ('sent', 'failed')")) == 5

            await until(settled)

            async def published() -> bool:
                told = b"".join(value or b"" for _, value in await kafka_records(DeliveryFailed.type))
                return sum(str(account_id).encode() in told for account_id in accounts) == 2

            await until(published)
            logs = await process.stop(SIGTERM)
        rows = repr(await around.rows())
        events = repr(await kafka_records(DeliveryFailed.type))
        mails = await around.mails(f"{marker}@mail.example")

    assert b"notifier.delivery_attempted" in logs
    assert marker.encode() not in logs
    assert marker not in rows
    assert marker not in events
    assert len(mails) == 1
