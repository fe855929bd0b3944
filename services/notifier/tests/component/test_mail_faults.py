"""Mail server, auth or the process away: a delivery waits, and only a refusal for good ends it."""

from uuid import uuid4

import pytest
from services.notifier.tests import factories
from services.notifier.tests.running import Notifier, published_failures, until
from services.notifier.tests.stand_in_auth import StandInAuth


async def test_a_bounced_mail_fails_at_once_and_says_so_without_the_address(
    notifier: Notifier, auth: StandInAuth, kafka_records
) -> None:
    account_id = auth.account(f"bounce+{uuid4().hex}@mail.example")
    await notifier.deliver(factories.threshold_crossed(account_id))

    row = (await notifier.settled(account_id, "failed"))[0]

    assert (row["attempts"], row["reason"]) == (1, "the mail server refused the recipient (550 5.1.1)")
    published = await published_failures(kafka_records, row["id"])
    assert published == [
        {
            "delivery_id": str(row["id"]),
            "account_id": str(account_id),
            "kind": "credit-low-25",
            "channel": "mail",
            "reason": "the mail server refused the recipient (550 5.1.1)",
        }
    ]


async def test_a_bounce_of_one_owner_does_not_keep_the_mail_from_the_other(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id = auth.account(f"bounce+{uuid4().hex}@mail.example", address)
    await notifier.deliver(factories.threshold_crossed(account_id))

    row = (await notifier.settled(account_id, "sent"))[0]

    assert row["reason"] == "1 of 2 not reached: the mail server refused the recipient (550 5.1.1)"
    assert len(await notifier.mails(address)) == 1


async def test_a_temporary_refusal_is_tried_again_and_those_who_have_the_mail_get_no_second_one(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    slow = f"tempfail+{uuid4().hex}@mail.example"
    account_id = auth.account(address, slow)
    await notifier.deliver(factories.threshold_crossed(account_id))

    row = (await notifier.settled(account_id, "sent"))[0]

    assert row["attempts"] == 3
    assert len(await notifier.mails(slow)) == 1
    assert len(await notifier.mails(address)) == 1


async def test_mails_wait_while_auth_is_away(notifier: Notifier, auth: StandInAuth, address: str) -> None:
    account_id = auth.account(address)
    auth.away = True
    try:
        await notifier.deliver(factories.threshold_crossed(account_id))

        async def tried_twice() -> list[dict[str, object]]:
            return await notifier.rows(
                "account_id = :account AND attempts >= 2 AND reason IS NOT NULL", account=account_id
            )

        row = (await until(tried_twice))[0]
        assert (row["state"], row["reason"]) == ("pending", "auth answered 503")
    finally:
        auth.away = False

    await notifier.settled(account_id, "sent")
    assert len(await notifier.mails(address)) == 1


@pytest.mark.parametrize(
    ("kind", "known", "state", "reason"),
    [
        ("verify-email", False, "skipped", "auth knows no such message any more"),
        ("no-such-kind", True, "failed", "there is no template for this kind"),
        ("../base", True, "failed", "there is no template for this kind"),
    ],
)
async def test_a_message_that_cannot_be_said_is_settled_with_its_reason(
    notifier: Notifier, auth: StandInAuth, address: str, *, kind: str, known: bool, state: str, reason: str
) -> None:
    message_id = auth.message(address, kind=kind) if known else uuid4()
    await notifier.deliver(factories.message_requested(message_id, kind=kind))

    async def settled() -> list[dict[str, object]]:
        return await notifier.rows("message_id = :message AND state <> 'pending'", message=message_id)

    row = (await until(settled))[0]
    assert (row["state"], row["reason"]) == (state, reason)


async def test_an_account_without_owners_is_skipped(notifier: Notifier) -> None:
    account_id = uuid4()
    await notifier.deliver(factories.payment_settled(account_id))

    row = (await notifier.settled(account_id, "skipped"))[0]

    assert row["reason"] == "the account has nobody to mail"


@pytest.mark.parametrize(
    "hostile", ["ada@mail.example\r\nBcc: eve@mail.example", "ada@mail.example, eve@mail.example", "nobody", ""]
)
async def test_an_address_that_is_none_is_never_handed_to_the_mail_server(
    notifier: Notifier, auth: StandInAuth, hostile: str
) -> None:
    account_id = auth.account(hostile)
    await notifier.deliver(factories.payment_settled(account_id))

    row = (await notifier.settled(account_id, "failed"))[0]

    assert row["reason"] == "the address cannot be mailed"
