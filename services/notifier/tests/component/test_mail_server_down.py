"""The mail server down, auth slow: a delivery waits its turn, and not for ever."""

import asyncio
import socket
from uuid import uuid4

from services.notifier.tests import factories
from services.notifier.tests.running import in_process, published_failures, until
from services.notifier.tests.stand_in_auth import StandInAuth

from sandbox.fixtures_outside import Mailbox, outside_process


async def test_mails_wait_while_the_mail_server_is_down_and_go_out_when_it_is_up(
    surround, auth: StandInAuth, address: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    account_id = auth.account(address)
    async with surround() as around, in_process(around, smtp_port=port) as notifier:
        await notifier.deliver(factories.threshold_crossed(account_id))

        async def tried() -> list[dict[str, object]]:
            return await notifier.rows("attempts >= 1 AND reason IS NOT NULL")

        row = (await until(tried))[0]
        assert row["state"] == "pending"
        assert row["reason"] == "the mail server does not answer: SMTPConnectError"
        with outside_process("sandbox.mailbox", "--smtp-port", str(port), "--http-port", "0") as addresses:
            row = (await notifier.settled(account_id, "sent"))[0]
            assert len(Mailbox(port, addresses[1]).messages(to=address)) == 1
        assert row["reason"] is None


async def test_a_delivery_is_given_up_when_it_has_been_tried_for_long_enough(
    surround, auth: StandInAuth, kafka_records
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = taken.getsockname()[1]
        account_id = auth.account(f"{uuid4().hex}@mail.example")
        async with surround() as around, in_process(around, smtp_port=nobody, give_up_after_s=4.0) as notifier:
            await notifier.deliver(factories.threshold_crossed(account_id))
            row = (await notifier.settled(account_id, "failed"))[0]
            published = await published_failures(kafka_records, row["id"])

    assert row["reason"].startswith("given up after ")
    assert row["reason"] == published[0]["reason"]
    assert row["attempts"] > 1


async def test_a_slow_directory_does_not_hold_up_other_mails(surround, address: str, auth: StandInAuth) -> None:
    message_id = auth.message(address)
    async with surround() as around, in_process(around) as notifier:
        auth.gate.clear()
        try:
            await notifier.deliver(factories.payment_settled(auth.account(f"slow-{address}")))
            await asyncio.sleep(0.5)
            await notifier.deliver(factories.message_requested(message_id))
            await notifier.mails(address)
        finally:
            auth.gate.set()
        await notifier.mails(f"slow-{address}")
