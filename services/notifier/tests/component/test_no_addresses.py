"""Addresses and links are nowhere but in the mails themselves."""

import asyncio
import os
import re
import sys
from pathlib import Path
from signal import SIGTERM
from uuid import uuid4

from services.notifier.tests import factories
from services.notifier.tests.receiver import receiving
from services.notifier.tests.running import own_process, until
from services.notifier.tests.stand_in_auth import StandInAuth

from contracts.notifier import DeliveryFailed
from kit.clock import SystemClock
from notifier.app import create_endpoints
from notifier.domain.kinds import KINDS
from notifier.service.endpoints import Wanted
from notifier.settings import NotifierSettings
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


async def run_command(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "notifier", *arguments),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, output.decode()


async def test_the_commands_send_a_test_mail_and_list_deliveries_with_reasons(
    surround, auth: StandInAuth, address: str
) -> None:
    async with surround() as around:
        environment = around.environment()
        assert await run_command(environment, "send-test", address) == (
            0,
            f"handed over to 127.0.0.1:{around.mailbox.smtp_port}\n",
        )
        code, said = await run_command(environment, "send-test", "bounce@mail.example")
        assert (code, said) == (1, "not sent: the mail server refused the recipient (550 5.1.1)\n")
        assert (await run_command(environment, "deliveries", "list"))[1] == "no deliveries\n"
        async with own_process(around):
            account_id = auth.account(f"bounce+{uuid4().hex}@mail.example")
            await around.deliver(factories.payment_settled(account_id))
            await around.settled(account_id, "failed")
        _, listed = await run_command(environment, "deliveries", "list", "--state", "failed")
        assert re.search(rf"failed +mail +payment-received +{account_id} .*550 5\.1\.1", listed)
        mail = (await around.mails(address))[0]

    assert mail["subject"] == "Test mail from Faregate"


async def test_a_notifier_without_its_secret_refuses_to_start_and_names_it(surround) -> None:
    async with surround() as around:
        environment = around.environment()
        del environment["FAREGATE_NOTIFIER_SERVICE_SECRET"]
        code, said = await run_command(environment, "serve")

    assert code == 2
    assert "FAREGATE_NOTIFIER_SERVICE_SECRET: is not set" in said


async def test_the_commands_preview_mails_and_keep_suppressed_addresses(surround, address: str, tmp_path: Path) -> None:
    async with surround() as around:
        environment = around.environment()
        code, said = await run_command(environment, "preview", "--locale", "de", "--folder", str(tmp_path))
        assert (code, said) == (0, f"wrote {len(KINDS)} mails to {tmp_path}\n")
        assert "Guthaben kaufen" in (tmp_path / "credit-low-10.html").read_text()
        code, said = await run_command(environment, "preview", "credit-empty", "--to", address)
        assert (code, said) == (0, f"handed 1 over to 127.0.0.1:{around.mailbox.smtp_port}\n")
        assert (await around.mails(address))[0]["subject"] == "Your credit is used up"
        assert (await run_command(environment, "preview", "no-such-kind"))[0] == 2
        for arguments, expected in (
            (("add", address), (0, "suppressed\n")),
            (("show", address.upper()), (0, "takes no mail since a bounce\n")),
            (("lift", address), (0, "lifted\n")),
            (("lift", address), (1, "was not suppressed\n")),
            (("show", address), (0, "takes mail\n")),
        ):
            assert await run_command(environment, "suppressed", *arguments) == expected


async def test_a_command_replays_what_an_endpoint_missed(surround, auth: StandInAuth, address: str) -> None:
    account_id = auth.account(address)
    async with surround() as around, receiving() as receiver:
        settings = NotifierSettings(**around.settings, endpoints_may_be_local=True)
        async with around.database.transaction() as session:
            wanted = Wanted(channel="webhook", url=receiver.url)
            endpoint, _ = await create_endpoints(settings, clock=SystemClock()).make(session, account_id, wanted)
        async with own_process(around, endpoints_may_be_local=True):
            await around.deliver(factories.payment_settled(account_id))
            await around.settled(account_id, "sent", count=2)
            replay = ("endpoints", "replay", str(endpoint.id), "--hours", "1")
            assert await run_command(around.environment(), *replay) == (0, "queued 0 deliveries\n")
            assert await run_command(around.environment(), *replay, "--all") == (0, "queued 1 deliveries\n")

            async def told_again() -> bool:
                return len(receiver.got) == 2

            await until(told_again)
        _, listed = await run_command(around.environment(), "endpoints", "list", str(account_id))
        unknown = await run_command(around.environment(), "endpoints", "replay", str(uuid4()))

    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert listed == f"{endpoint.id}  webhook   active  {receiver.url}\n"
    assert unknown == (1, "There is no such endpoint.\n")
