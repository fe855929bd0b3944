"""A record set aside anywhere reaches those who operate."""

from uuid import uuid4

from services.notifier.tests import factories
from services.notifier.tests.running import Notifier, in_process, until


async def test_without_an_operator_mail_an_alert_stays_in_the_operators_list(surround) -> None:
    async with surround() as around, in_process(around) as notifier:
        await check_skipped(notifier)


async def check_skipped(notifier: Notifier) -> None:
    topic = f"gateway.usage-{uuid4().hex}.v1"
    await notifier.deliver(factories.dlq_grew(topic))

    async def skipped() -> list[dict[str, object]]:
        return await notifier.rows("payload->>'topic' = :topic AND state = 'skipped'", topic=topic)

    row = (await until(skipped))[0]
    report = (await notifier.get("/notifications/deliveries?state=skipped", account_id=uuid4(), operator=True)).json()
    mine = [item for item in report["items"] if item["id"] == str(row["id"])]
    assert row["reason"] == "no operator mail is configured"
    assert mine[0]["audience"] == "operators"


async def test_a_flood_of_bad_records_of_one_topic_is_one_mail_to_the_operator(surround, address: str) -> None:
    topic = f"gateway.usage-{uuid4().hex}.v1"
    async with surround() as around, in_process(around, operator_mail=f"Operators <{address}>") as notifier:
        await notifier.deliver(*(factories.dlq_grew(topic, offset=offset) for offset in range(20)))

        mail = await notifier.read((await notifier.mails(address))[0])

        async def all_applied() -> bool:
            metrics = (await notifier.client.get("/metrics")).text
            return f'faregate_records_applied_total{{group="{around.settings["consumer_group"]}"' in metrics

        await until(all_applied)
        assert len(await notifier.mails(address)) == 1
    assert mail["subject"] == f"[operators] ledger set a record of {topic} aside"
    assert f"python -m ledger dlq replay {topic}" in mail["text"]


async def test_gaps_margins_stranded_use_and_providers_that_are_down_reach_the_operator(surround, address: str) -> None:
    name, account_id = f"gateway-{uuid4().hex[:8]}", uuid4()
    async with surround() as around, in_process(around, operator_mail=address) as notifier:
        await notifier.deliver(
            factories.reconciliation_differed(name),
            factories.margin_fell(f"plan-{name}"),
            factories.overage_stranded(account_id),
            factories.provider_state(f"cooling-{name}", state="cooling"),
            *(factories.provider_state(f"route-{name}") for _ in range(3)),
        )

        mails = await notifier.mails(address, count=4)
        texts = [(await notifier.read(mail))["text"] for mail in mails]

    assert [str(account_id) in text and "4.12" in text for text in texts].count(True) == 1
    assert sorted(mail["subject"] for mail in mails) == sorted(
        [
            f"[operators] the books of {name} do not match",
            "[operators] use past a plan waits for a subscription",
            f"[operators] the margin of plan plan-{name} is -10.00 %",
            f"[operators] anthropic stopped serving on route route-{name}",
        ]
    )
