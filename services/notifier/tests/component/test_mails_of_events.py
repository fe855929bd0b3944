"""From an event on Kafka to a mail in the mailbox: each once, in time, with the right words."""

import asyncio
from uuid import uuid4

import pytest
from services.notifier.tests import factories
from services.notifier.tests.running import Notifier
from services.notifier.tests.stand_in_auth import StandInAuth

from contracts.gateway import CallsRefused
from contracts.ledger import ThresholdLevel
from notifier.domain.kinds import KINDS, THRESHOLD_KINDS

ACCOUNT_EVENTS = {
    "credit-low-25": lambda account: factories.threshold_crossed(account, level="percent_25"),
    "credit-low-10": lambda account: factories.threshold_crossed(account, level="percent_10"),
    "credit-empty": lambda account: factories.threshold_crossed(account, level="empty"),
    "credit-low": lambda account: factories.threshold_crossed(account, level="percent", at="40"),
    "forecast-run-out": lambda account: factories.threshold_crossed(account, level="days_left", at="3"),
    "spend-spike": lambda account: factories.threshold_crossed(account, level="spend_spike", at="300"),
    "soft-limit": lambda account: factories.threshold_crossed(account, level="soft_limit", at="throttle"),
    "overage-near": lambda account: factories.threshold_crossed(account, level="overage_ceiling"),
    "overage-reached": lambda account: factories.threshold_crossed(account, level="overage_ceiling", available=0),
    "payment-action": lambda account: factories.payment_failed(account, reason="authentication_required"),
    "period-summary": factories.period_closed,
    "key-created": factories.api_key_changed,
    "calls-refused": factories.calls_refused,
    "payment-received": factories.payment_settled,
    "payment-failed": factories.payment_failed,
    "payment-reversed": factories.payment_reversed,
    "subscription-changed": lambda account: factories.subscription_changed(account, f"sub_{uuid4().hex}"),
}


@pytest.mark.parametrize("kind", ACCOUNT_EVENTS)
async def test_an_event_delivered_three_times_is_mailed_once(
    notifier: Notifier, auth: StandInAuth, address: str, kind: str
) -> None:
    account_id = auth.account(address)
    event = ACCOUNT_EVENTS[kind](account_id)

    await notifier.deliver(event, event)
    await notifier.settled(account_id, "sent")
    await notifier.deliver(event, last := factories.payment_settled(account_id))
    await notifier.settled(account_id, "sent", count=2)

    mails = await notifier.mails(address, count=2)
    rows = await notifier.rows("account_id = :account", account=account_id)
    assert last.account_id == account_id
    assert [row["kind"] for row in rows] == [kind, "payment-received"]
    assert len(mails) == 2


async def test_a_mail_says_what_happened_and_links_to_the_offers(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    await notifier.deliver(factories.threshold_crossed(auth.account(address)))

    mail = await notifier.read((await notifier.mails(address))[0])

    assert mail["subject"] == "Less than 25 % of your credit is left"
    assert mail["from"] == "no-reply@faregate.example"
    for form in (mail["text"], mail["html"]):
        assert "1.249999999 credits" in form
        assert "5 credits" in form
        assert "http://127.0.0.1:8080/billing/offers" in form


async def test_a_failed_payments_mail_names_the_card_and_one_without_a_card_is_mailed_too(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id = auth.account(address)
    carded = factories.payment_failed(account_id).model_copy(update={"card_brand": "visa", "card_last4": "0341"})

    await notifier.deliver(carded, factories.payment_failed(account_id))
    texts = [(await notifier.read(mail))["text"] for mail in await notifier.mails(address, count=2)]

    assert sorted("Visa ending in 0341" in text for text in texts) == [False, True]


@pytest.mark.parametrize("reason", ["authentication_required", "card_declined"])
async def test_a_mail_about_a_payment_leads_to_that_payment_and_its_link_is_in_no_row(
    notifier: Notifier, auth: StandInAuth, address: str, reason: str
) -> None:
    event = factories.payment_failed(auth.account(address), reason=reason)
    auth.payment_pages[event.payment_id] = page = f"https://invoice.stripe.example/i/{uuid4().hex}"
    await notifier.deliver(event)

    mail = await notifier.read((await notifier.mails(address))[0])

    for form in (mail["text"], mail["html"]):
        assert page in form
        assert "/billing/offers" not in form
    assert page not in repr(await notifier.rows("account_id = :account", account=event.account_id))


async def test_a_payment_without_a_page_of_its_own_leads_to_the_offers(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    await notifier.deliver(factories.payment_failed(auth.account(address), reason="authentication_required"))

    mail = await notifier.read((await notifier.mails(address))[0])

    assert "your bank asks you then" in mail["text"]
    assert "http://127.0.0.1:8080/billing/offers" in mail["text"]


async def test_a_new_sign_in_is_told_with_its_way(notifier: Notifier, auth: StandInAuth, address: str) -> None:
    message_id = auth.message(address, kind="new-sign-in")

    await notifier.deliver(factories.message_requested(message_id, kind="new-sign-in", way="passkey"))

    assert "By: a passkey" in (await notifier.read((await notifier.mails(address))[0]))["text"]


async def test_a_change_of_plan_that_is_to_come_is_told_and_so_is_its_taking_back(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id, subscription_id = auth.account(address), f"sub_{uuid4().hex}"
    for version, pending in enumerate((None, "small", None), start=1):
        changed = factories.subscription_changed(
            account_id, subscription_id, version=version, plan_id="large", pending_plan_id=pending
        )
        await notifier.deliver(changed)
        await notifier.settled(account_id, "sent", count=version)

    texts = [(await notifier.read(mail))["text"] for mail in await notifier.mails(address, count=3)]

    assert "Your plan will not change to small: you stay with large." in texts[0]
    assert "Your plan will change from large to small on" in texts[1]


async def test_the_first_refusal_is_mailed_once_per_arming_whichever_gateway_states_it(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id, event_id = auth.account(address), uuid4()
    await notifier.deliver(
        factories.calls_refused(account_id, arming=1, event_id=event_id),
        factories.calls_refused(account_id, arming=1, event_id=event_id, count=7),
        factories.calls_refused(account_id, arming=1, count=31),
        factories.calls_refused(account_id, arming=2),
    )

    await notifier.settled(account_id, "sent", count=2)
    await notifier.deliver(factories.calls_refused(account_id, arming=2, count=3))
    await notifier.deliver(factories.calls_refused(account_id, arming=3))
    rows = await notifier.settled(account_id, "sent", count=3)

    assert [row["dedupe_key"].rpartition(":")[2] for row in rows] == ["1", "2", "3"]
    assert len(await notifier.mails(address, count=3)) == 3


async def test_two_first_refusals_with_one_id_and_other_counts_are_no_alarm(
    notifier: Notifier, auth: StandInAuth, address: str, kafka_records
) -> None:
    account_id, event_id = auth.account(address), uuid4()
    await notifier.deliver(
        factories.calls_refused(account_id, event_id=event_id),
        factories.calls_refused(account_id, event_id=event_id, count=2),
    )
    await notifier.settled(account_id, "sent")

    await asyncio.sleep(0.5)
    assert not [key for key, _ in await kafka_records(f"{CallsRefused.type}.dlq") if key == str(account_id).encode()]


async def test_a_renewal_of_a_subscription_is_not_mailed_but_a_change_is(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id, subscription_id = auth.account(address), f"sub_{uuid4().hex}"
    versions = [
        {"status": "incomplete"},
        {"status": "active"},
        {"status": "active"},
        {"status": "active", "cancel_at_period_end": True},
        {"status": "canceled", "cancel_at_period_end": True},
    ]
    changes = [
        factories.subscription_changed(account_id, subscription_id, version=number, **version)
        for number, version in enumerate(versions, start=1)
    ]
    await notifier.deliver(*changes)
    await notifier.deliver(factories.subscription_changed(account_id, subscription_id, version=3))

    rows = await notifier.settled(account_id, "sent", count=3)

    assert [row["payload"]["status"] for row in rows] == ["active", "active", "canceled"]
    assert [row["payload"]["cancel_at_period_end"] for row in rows] == [False, True, True]


async def test_a_message_of_auth_carries_the_link_that_was_minted_at_sending(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    link = f"http://127.0.0.1:8080/auth/verify?token={uuid4().hex}"
    message_id = auth.message(address, link=link)
    event = factories.message_requested(message_id)

    await notifier.deliver(event, event)

    mail = await notifier.read((await notifier.mails(address))[0])
    rows = await notifier.rows("message_id = :message", message=message_id)
    assert mail["subject"] == "Confirm your address"
    assert link in mail["text"]
    assert link in mail["html"]
    assert len(rows) == 1


async def test_a_message_without_a_link_is_mailed_too(notifier: Notifier, auth: StandInAuth, address: str) -> None:
    message_id = auth.message(address, kind="already-registered")

    await notifier.deliver(factories.message_requested(message_id, kind="already-registered"))

    assert (await notifier.mails(address))[0]["subject"] == "You already have an account"


async def test_every_owner_gets_a_mail_of_their_own(notifier: Notifier, auth: StandInAuth, address: str) -> None:
    second = f"second-{address}"
    await notifier.deliver(factories.payment_settled(auth.account(address, second)))

    first, other = [await notifier.read((await notifier.mails(one))[0]) for one in (address, second)]

    assert (first["to"], other["to"]) == ([address], [second])
    assert first["headers"]["Message-ID"] != other["headers"]["Message-ID"]


async def test_what_is_too_old_or_our_own_fault_or_no_news_is_not_told(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id = auth.account(address)
    await notifier.deliver(
        factories.api_key_changed(account_id, made_days_ago=3),
        factories.api_key_changed(account_id, version=2),
        factories.period_closed(account_id, ended_days_ago=9),
        factories.calls_refused(account_id, reason="unavailable"),
    )
    await notifier.deliver(factories.api_key_changed(account_id), factories.calls_refused(account_id, reason="budget"))

    rows = await notifier.settled(account_id, "sent", count=2)

    assert sorted(row["kind"] for row in rows) == ["calls-refused", "key-created"]


async def test_every_level_of_the_ledger_has_words_of_its_own(notifier: Notifier, auth: StandInAuth) -> None:
    levels = ThresholdLevel.__args__

    assert set(THRESHOLD_KINDS) == set(levels)
    assert set(THRESHOLD_KINDS.values()) <= set(KINDS)
