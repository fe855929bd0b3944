"""Nobody is flooded, and an address that bounces is left alone."""

from uuid import uuid4

from services.notifier.tests import factories
from services.notifier.tests.running import in_process, make_due
from services.notifier.tests.stand_in_auth import StandInAuth
from sqlalchemy import text


async def test_past_the_limit_of_an_hour_mails_are_collected(surround, auth: StandInAuth, address: str) -> None:
    account_id = auth.account(address)
    async with surround() as around, in_process(around, mails_per_hour=2, delivery_slots=1) as notifier:
        await notifier.deliver(*(factories.payment_settled(account_id) for _ in range(5)))
        await notifier.settled(account_id, "sent", count=2)
        await notifier.settled(account_id, "skipped", count=3)
        await make_due(notifier, account_id)
        mails = await notifier.mails(address, count=3)

    assert [mail["subject"] for mail in mails].count("3 notices from your account") == 1


async def test_a_bounced_address_gets_no_further_mail_until_it_is_lifted(
    surround, auth: StandInAuth, address: str
) -> None:
    bouncing = f"bounce+{uuid4().hex}@mail.example"
    async with surround() as around, in_process(around, bounce_token="told-by-the-provider") as notifier:
        account_id = auth.account(bouncing)
        await notifier.deliver(factories.payment_settled(account_id))
        await notifier.settled(account_id, "failed")
        await notifier.deliver(factories.payment_settled(account_id))
        row = (await notifier.settled(account_id, "skipped"))[0]
        assert row["reason"] == "1 of 1 not told: the address takes no mail since a bounce"

        other = auth.account(address)
        body = {"bounces": [{"address": address.upper(), "type": "hard"}]}
        for token, status in (("guessed", 401), ("told-by-the-provider", 200)):
            headers = {"authorization": f"Bearer {token}"}
            answer = await notifier.client.post("/notifications/bounces", json=body, headers=headers)
            assert answer.status_code == status
        await notifier.deliver(factories.payment_failed(other))
        await notifier.settled(other, "skipped")
        async with around.database.reading() as session:
            kept = repr((await session.execute(text("SELECT * FROM suppressed"))).all())

    assert address not in kept
    assert bouncing not in kept
