"""What people choose decides what they get: by kind, by night, by number, by one click."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from services.notifier.tests import factories
from services.notifier.tests.running import Notifier, make_due, until
from services.notifier.tests.stand_in_auth import StandInAuth
from sqlalchemy import text


async def choose(notifier: Notifier, account_id: UUID, user_id: UUID, *, kind: str, mail: str, role: str = "owner"):
    path = f"/notifications/preferences/{kind}"
    return await notifier.ask("PUT", path, account_id=account_id, user_id=user_id, role=role, mail=mail)


async def be_quiet_now(notifier: Notifier, account_id: UUID, user_id: UUID) -> datetime:
    """Quiet hours round this moment; when they end."""
    now = datetime.now(UTC)
    start, end = (now - timedelta(hours=2)).replace(second=0), (now + timedelta(hours=2)).replace(second=0)
    body = {"quiet_from": f"{start:%H:%M}", "quiet_until": f"{end:%H:%M}", "time_zone": "UTC"}
    answer = await notifier.ask("PUT", "/notifications/schedule", account_id=account_id, user_id=user_id, **body)
    assert answer.status_code == 200, answer.text
    return end.replace(microsecond=0)


async def test_what_is_switched_off_is_not_mailed_but_stays_in_the_feed(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id = auth.account(address)
    answer = await choose(notifier, account_id, auth.owner(account_id), kind="payment-received", mail="off")
    await notifier.deliver(factories.payment_settled(account_id))

    row = (await notifier.settled(account_id, "skipped"))[0]
    feed = (await notifier.get("/notifications", account_id=account_id)).json()["items"]

    assert answer.json()["mail"] == "off"
    assert row["reason"] == "1 of 1 not told: switched off by its recipient"
    assert [item["kind"] for item in feed] == ["payment-received"]


async def test_members_who_ask_for_a_kind_get_it_and_others_do_not(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id = auth.account(address)
    admin = auth.join(account_id, f"admin-{address}", role="admin")
    auth.join(account_id, f"silent-{address}", role="admin")
    await choose(notifier, account_id, admin, kind="payment-received", mail="now", role="admin")

    await notifier.deliver(factories.payment_settled(account_id))
    row = (await notifier.settled(account_id, "sent"))[0]

    assert len(row["mailed_to"]) == 2
    assert len(await notifier.mails(f"admin-{address}")) == 1
    assert not notifier.mailbox.messages(to=f"silent-{address}")


async def test_a_notice_in_the_night_is_mailed_once_in_the_morning_and_an_urgent_one_at_once(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id = auth.account(address)
    ends_at = await be_quiet_now(notifier, account_id, auth.owner(account_id))
    await notifier.deliver(
        factories.payment_settled(account_id), factories.threshold_crossed(account_id, level="empty", available=0)
    )
    held = (await until(lambda: notifier.rows("account_id = :a AND user_id IS NOT NULL", a=account_id)))[0]
    urgent = await notifier.mails(address)

    assert [mail["subject"] for mail in urgent] == ["Your credit is used up"]
    assert abs((held["next_attempt_at"] - ends_at).total_seconds()) <= 60
    async with notifier.database.transaction() as session:
        await session.execute(text("DELETE FROM schedule WHERE user_id = :u"), {"u": auth.owner(account_id)})
    await make_due(notifier, account_id)
    assert [mail["subject"][:10] for mail in await notifier.mails(address, count=2)] == ["We receive", "Your credi"]


async def test_a_digest_tells_everything_that_was_collected_in_one_mail(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id = auth.account(address)
    for kind in ("payment-received", "credit-low-25"):
        await choose(notifier, account_id, auth.owner(account_id), kind=kind, mail="digest")
    await notifier.deliver(
        factories.payment_settled(account_id),
        factories.payment_settled(account_id),
        factories.threshold_crossed(account_id),
    )
    await notifier.settled(account_id, "skipped", count=3)
    await make_due(notifier, account_id)

    mail = await notifier.read((await notifier.mails(address))[0])

    assert mail["subject"] == "3 notices from your account"
    assert mail["text"].count("We received your payment of 10.00 USD") == 2
    assert "Less than 25 % of your credit is left" in mail["html"]
    digests = await notifier.rows("account_id = :a AND kind = 'digest'", a=account_id)
    assert [row["state"] for row in digests] == ["sent"]


async def test_one_click_in_the_mail_program_ends_mails_of_that_kind(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id = auth.account(address)
    await notifier.deliver(factories.payment_settled(account_id), factories.payment_failed(account_id))
    mails = [await notifier.read(mail) for mail in await notifier.mails(address, count=2)]
    left, required = sorted(mails, key=lambda mail: "List-Unsubscribe" not in mail["headers"])
    target = urlsplit(left["headers"]["List-Unsubscribe"].strip("<>"))
    path = f"{target.path}?{target.query}"

    shown = await notifier.client.get(path)
    before = (await notifier.get("/notifications/preferences", account_id=account_id)).json()
    done = await notifier.client.post(path, data={"List-Unsubscribe": "One-Click"})
    again = await notifier.client.post(path, data={"List-Unsubscribe": "One-Click"})
    await notifier.deliver(factories.payment_settled(account_id))
    row = (await notifier.settled(account_id, "skipped"))[0]

    assert left["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "List-Unsubscribe" not in required["headers"]
    assert (shown.status_code, done.status_code, again.status_code) == (200, 200, 200)
    assert "Payment received" in shown.text
    assert {one["mail"] for one in before["preferences"]} == {"now"}
    assert "switched off" in row["reason"]
    assert (await notifier.client.post("/notifications/unsubscribe?token=made-up")).status_code == 422


@pytest.mark.parametrize(
    ("kind", "mail", "role", "status", "code"),
    [
        ("no-such-kind", "off", "owner", 404, "unknown_kind"),
        ("verify-email", "off", "owner", 404, "unknown_kind"),
        ("payment-failed", "off", "owner", 422, "kind_required"),
        ("payment-failed", "digest", "admin", 422, "kind_required"),
        ("payment-received", "now", "developer", 403, "kind_not_visible"),
        ("credit-empty", "now", "user", 403, "kind_not_visible"),
        ("credit-empty", "sometimes", "owner", 422, "invalid_request"),
    ],
)
async def test_a_choice_that_is_not_theirs_is_refused(
    notifier: Notifier, *, kind: str, mail: str, role: str, status: int, code: str
) -> None:
    answer = await choose(notifier, uuid4(), uuid4(), kind=kind, mail=mail, role=role)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "body",
    [
        {"time_zone": "Europe/Nowhere"},
        {"time_zone": "../../etc/passwd"},
        {"time_zone": "UTC", "quiet_from": "22:00"},
        {"time_zone": "UTC", "quiet_from": "22:00", "quiet_until": "22:00"},
        {"time_zone": "UTC", "quiet_from": "22:00:30", "quiet_until": "07:00"},
        {"time_zone": "UTC", "digest_at": "25:00"},
        {"time_zone": "UTC", "digest_at": "08:00+02:00"},
        {"time_zone": "UTC", "surprise": 1},
    ],
)
async def test_a_schedule_that_is_none_is_refused_with_the_field(notifier: Notifier, body: dict[str, object]) -> None:
    answer = await notifier.ask("PUT", "/notifications/schedule", account_id=uuid4(), **body)

    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_a_deleted_user_leaves_nothing(notifier: Notifier, auth: StandInAuth, address: str) -> None:
    account_id = auth.account(address)
    user_id = auth.owner(account_id)
    await choose(notifier, account_id, user_id, kind="payment-received", mail="off")
    await be_quiet_now(notifier, account_id, user_id)
    await notifier.deliver(factories.user_deleted(user_id))

    async def forgotten() -> bool:
        async with notifier.database.reading() as session:
            query = "SELECT user_id FROM preference UNION ALL SELECT user_id FROM schedule"
            return user_id not in (await session.scalars(text(query))).all()

    await until(forgotten)


async def test_mails_are_in_the_language_of_each_person(notifier: Notifier, auth: StandInAuth, address: str) -> None:
    account_id = auth.account(address, locale="de-AT")
    auth.join(account_id, f"second-{address}", role="owner", locale="fr")
    await notifier.deliver(factories.payment_settled(account_id))

    german, other = [await notifier.read((await notifier.mails(one))[0]) for one in (address, f"second-{address}")]

    assert german["subject"] == "Ihre Zahlung über 10,00 USD ist eingegangen"
    assert other["subject"] == "We received your payment of 10.00 USD"
