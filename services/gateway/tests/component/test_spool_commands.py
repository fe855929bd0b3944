"""`python -m gateway spool` and `journal`: what waits, and sending it while no gateway runs."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import orjson
import pytest
from typer.testing import CliRunner

from contracts.gateway import UsageRecorded
from gateway.admission.types import Admitted, Amounts
from gateway.usage.commands import journal_commands, spool_commands
from gateway.usage.durability import Durability, DurabilitySettings
from gateway.usage.event import CallFacts, caller_part
from kit.clock import SystemClock
from kit.ids import uuid7

NOWHERE = "127.0.0.1:1"


def run(commands, *arguments: object):
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


async def left_behind(folder, *, events: int, open_calls: int = 0):
    """A gateway that had no Kafka and is gone: its account, its events, its calls without an end."""
    account, clock = uuid4(), SystemClock()
    gone = Durability(DurabilitySettings(folder), bootstrap=NOWHERE, instance="gone", clock=clock)
    await gone.start()
    values = [b'{"number":%d}' % number for number in range(events)]
    for value in values:
        assert await gone.publisher.store(account, uuid7(clock), value)
    part = caller_part(account, None, user_id=None, api_key_id=None)
    facts = CallFacts(
        part, account_id=account, surface="/v1/messages", streamed=False, model_asked="m", price_book_version=1
    )
    calls = []
    for _ in range(open_calls):
        call = Admitted(
            call_id=uuid7(clock), account_id=account, admitted_at=datetime.now(UTC), amounts=Amounts(), allocation=(),
            plan_id=None, plan_version=None, markup_bps=0,
        )  # fmt: skip
        gone.journal.admitted(call, report=facts.report(instance="gone", route="anthropic"))
        calls.append(call.call_id)
    await gone.stop()
    return account, values, calls


async def test_status_tells_what_waits_for_people_and_for_programs(tmp_path):
    await left_behind(tmp_path, events=3, open_calls=1)

    said = orjson.loads(run(spool_commands(), "status", "--state", tmp_path, "--json").stdout)
    text = run(spool_commands(), "status", "--state", tmp_path).stdout

    assert [(one["instance"], one["runs"], one["events"], one["open_calls"]) for one in said] == [("gone", False, 3, 1)]
    assert "gone (stopped): 3 events" in text
    assert "3 events wait" in text


async def test_replay_sends_what_waits_in_the_same_bytes(stack, topics, kafka_records, tmp_path):
    account, values, _ = await left_behind(tmp_path, events=5)

    answer = await asyncio.to_thread(
        run, spool_commands(), "replay", "--state", tmp_path, "--kafka", stack.kafka_bootstrap
    )

    assert (answer.exit_code, answer.stdout.splitlines()[-1]) == (0, "5 events sent")
    records = await kafka_records(UsageRecorded.type)
    assert [value for key, value in records if key == str(account).encode()] == values
    assert orjson.loads(run(spool_commands(), "status", "--state", tmp_path, "--json").stdout)[0]["events"] == 0


async def test_replay_leaves_a_gateway_alone_that_runs(stack, topics, tmp_path):
    running = Durability(DurabilitySettings(tmp_path), bootstrap=NOWHERE, instance="runs", clock=SystemClock())
    await running.start()
    assert await running.publisher.store(uuid4(), uuid4(), b"{}")
    try:
        answer = await asyncio.to_thread(
            run, spool_commands(), "replay", "--state", tmp_path, "--kafka", stack.kafka_bootstrap
        )
        assert answer.exit_code == 1
        assert "left alone, as they run: runs" in answer.output
        assert running.spool.events == 1
    finally:
        await running.stop()


async def test_without_kafka_replay_says_so(tmp_path):
    await left_behind(tmp_path, events=1)

    answer = await asyncio.to_thread(run, spool_commands(), "replay", "--state", tmp_path, "--kafka", NOWHERE)

    assert answer.exit_code == 2
    assert "Kafka does not answer" in answer.output


async def test_ids_of_a_window_are_listed(tmp_path):
    _, _, calls = await left_behind(tmp_path, events=0, open_calls=2)
    now = datetime.now(UTC).replace(tzinfo=None)
    window = [
        "--from",
        (now - timedelta(minutes=5)).isoformat()[:19],
        "--to",
        (now + timedelta(minutes=5)).isoformat()[:19],
    ]

    said = run(journal_commands(), "ids", "--state", tmp_path, *window).stdout

    assert said.splitlines() == [f"gone {call_id}" for call_id in calls]


async def test_a_journal_from_elsewhere_is_adopted_and_its_calls_are_ended(stack, topics, kafka_records, tmp_path):
    elsewhere, state = tmp_path / "elsewhere", tmp_path / "state"
    account, values, calls = await left_behind(elsewhere, events=2, open_calls=2)

    answer = await asyncio.to_thread(
        run, journal_commands(), "adopt", elsewhere / "gone", "--state", state, "--kafka", stack.kafka_bootstrap
    )

    assert answer.exit_code == 0, answer.output
    found = [
        orjson.loads(value)
        for key, value in await kafka_records(UsageRecorded.type)
        if key == str(account).encode() and value not in values
    ]
    assert {event["id"] for event in found} == {str(call_id) for call_id in calls}
    assert {event["data"]["outcome"] for event in found} == {"orphaned"}
    assert {event["data"]["gateway_instance"] for event in found} == {"gone"}


@pytest.mark.parametrize("missing", ["nothing", "empty"])
async def test_only_a_journals_folder_can_be_adopted(tmp_path, missing):
    (tmp_path / "empty").mkdir()

    answer = run(journal_commands(), "adopt", tmp_path / missing, "--state", tmp_path, "--kafka", NOWHERE)

    assert answer.exit_code == 2
    assert "no journal" in answer.output
