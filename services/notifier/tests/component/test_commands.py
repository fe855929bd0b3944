"""What operators do from a terminal: tests of mails, deliveries with their reasons, suppressed addresses, replays."""

import re
from pathlib import Path
from uuid import uuid4

from services.notifier.tests import factories
from services.notifier.tests.receiver import receiving
from services.notifier.tests.running import in_process, until
from services.notifier.tests.stand_in_auth import StandInAuth

from kit.clock import SystemClock
from notifier.app import create_endpoints
from notifier.domain.kinds import KINDS
from notifier.service.endpoints import Wanted
from notifier.settings import NotifierSettings


async def test_the_commands_send_a_test_mail_and_list_deliveries_with_reasons(
    surround, auth: StandInAuth, address: str
) -> None:
    async with surround() as around:
        handed_over = f"handed over to 127.0.0.1:{around.mailbox.smtp_port}\n"
        assert await around.command("send-test", address) == (0, handed_over)
        code, said = await around.command("send-test", "bounce@mail.example")
        assert (code, said) == (1, "not sent: the mail server refused the recipient (550 5.1.1)\n")
        assert await around.command("deliveries", "list") == (0, "no deliveries\n")
        account_id = auth.account(f"bounce+{uuid4().hex}@mail.example")
        async with in_process(around):
            await around.deliver(factories.payment_settled(account_id))
            await around.settled(account_id, "failed")
        _, listed = await around.command("deliveries", "list", "--state", "failed")
        assert re.search(rf"failed +mail +payment-received +{account_id} .*550 5\.1\.1", listed)
        mail = (await around.mails(address))[0]

    assert mail["subject"] == "Test mail from Faregate"


async def test_a_notifier_without_its_secret_refuses_to_start_and_names_it(surround) -> None:
    async with surround() as around:
        code, said = await around.command("serve", service_secret=None)

    assert code == 2
    assert "FAREGATE_NOTIFIER_SERVICE_SECRET: is not set" in said


async def test_the_commands_preview_mails(surround, address: str, tmp_path: Path) -> None:
    async with surround() as around:
        code, said = await around.command("preview", "--locale", "de", "--folder", str(tmp_path))
        assert (code, said) == (0, f"wrote {len(KINDS)} mails to {tmp_path}\n")
        code, said = await around.command("preview", "credit-empty", "--to", address)
        assert (code, said) == (0, f"handed 1 over to 127.0.0.1:{around.mailbox.smtp_port}\n")
        subject = (await around.mails(address))[0]["subject"]
        unknown, _ = await around.command("preview", "no-such-kind")

    assert "Guthaben kaufen" in (tmp_path / "credit-low-10.html").read_text()
    assert subject == "Your credit is used up"
    assert unknown == 2


async def test_the_commands_keep_suppressed_addresses(surround, address: str) -> None:
    async with surround() as around:
        for arguments, expected in (
            (("add", address), (0, "suppressed\n")),
            (("show", address.upper()), (0, "takes no mail since a bounce\n")),
            (("lift", address), (0, "lifted\n")),
            (("lift", address), (1, "was not suppressed\n")),
            (("show", address), (0, "takes mail\n")),
        ):
            assert await around.command("suppressed", *arguments) == expected


async def test_a_command_replays_what_an_endpoint_missed(surround, auth: StandInAuth, address: str) -> None:
    account_id = auth.account(address)
    async with surround() as around, receiving() as receiver:
        settings = NotifierSettings(**around.settings, endpoints_may_be_local=True)
        async with around.database.transaction() as session:
            wanted = Wanted(channel="webhook", url=receiver.url)
            endpoint, _ = await create_endpoints(settings, clock=SystemClock()).make(session, account_id, wanted)
        replay = ("endpoints", "replay", str(endpoint.id), "--hours", "1")
        async with in_process(around, endpoints_may_be_local=True):
            await around.deliver(factories.payment_settled(account_id))
            await around.settled(account_id, "sent", count=2)
            missed, every = await around.command(*replay), await around.command(*replay, "--all")

            async def told_again() -> bool:
                return len(receiver.got) == 2

            await until(told_again)
        _, listed = await around.command("endpoints", "list", str(account_id))
        unknown = await around.command("endpoints", "replay", str(uuid4()))

    assert (missed[0], every[0]) == (0, 0)
    assert "queued 0 deliveries" in missed[1]
    assert "queued 1 deliveries" in every[1]
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert listed == f"{endpoint.id}  webhook   active  {receiver.url}\n"
    assert unknown == (1, "There is no such endpoint.\n")
