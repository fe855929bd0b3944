"""`python -m ledger rerate|reconcile|archive|account|simulate`, as an operator types them."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2

from kit.testing_commands import Called, called
from ledger.adapters.gateways import GatewayJournals
from ledger.adapters.usage_topic import UsageTopic
from ledger.cli import cli
from sandbox.testing import FreshDatabase


async def command(running: Any, *arguments: str, **more: str) -> Called:
    env = {**running.environment(8082), "FAREGATE_LEDGER_GATEWAY_URLS": "http://127.0.0.1:1", **more}
    return await called(cli, *arguments, env=env)


async def test_a_dry_run_says_what_rating_again_would_move(running: Any) -> None:
    account_id = await running.new_account()
    usage = running.make.usage(account_id)
    await running.send(usage)
    await running.booked(usage.id)
    day = usage.admitted_at.date()
    window = ("--from", day.isoformat(), "--to", (day + timedelta(days=2)).isoformat())

    shown = await command(running, "rerate", *window, "--price-book", "1", "--dry-run", "--json")
    unknown = await command(running, "rerate", *window, "--price-book", "9")

    assert (json.loads(shown.stdout)["corrected"], json.loads(shown.stdout)["charges"]) == (0, 1)
    assert (unknown.returncode, "unknown_price_book" in unknown.stderr) == (2, True)


async def test_reconcile_names_a_gateway_that_does_not_answer_and_fails(running: Any) -> None:
    account_id = await running.new_account()
    usage = running.make.usage(account_id)
    await running.send(usage)
    await running.booked(usage.id)
    start = usage.admitted_at.replace(second=0, microsecond=0)
    window = f"{start.isoformat()}/{(start + timedelta(minutes=1)).isoformat()}"

    found = await command(running, "reconcile", "--window", window, "--json")

    (one,) = json.loads(found.stdout)["instances"]
    assert (found.returncode, one["equal"], one["booked"]) == (1, False, 1)
    assert one["unreachable"] == ["http://127.0.0.1:1"]
    wrong = await command(running, "reconcile", "--window", "yesterday")
    assert (wrong.returncode, "FROM/TO" in wrong.stderr) == (2, True)


async def test_an_account_is_frozen_and_thawed_from_the_shell(running: Any) -> None:
    account_id = str(await running.new_account())
    said = ("--reason", "a stolen card", "--actor", "sam")

    frozen = await command(running, "account", "freeze", account_id, *said)
    again = await command(running, "account", "freeze", account_id, *said)
    thawed = await command(running, "account", "thaw", account_id, *said)
    holds = await command(running, "account", "holds", account_id)

    assert "is frozen; its snapshot" in frozen.stdout
    assert (again.returncode, "hold_stands" in again.stderr) == (2, True)
    assert thawed.returncode == 0
    assert [line.split()[1:] for line in holds.stdout.splitlines()] == [
        ["freeze", "by", "sam:", "a", "stolen", "card"],
        ["thaw", "by", "sam:", "a", "stolen", "card"],
    ]


async def test_archive_runs_with_nothing_to_do_and_refuses_too_young_detail(running: Any, tmp_path: Path) -> None:
    folder = {"FAREGATE_LEDGER_ARCHIVE_FOLDER": str(tmp_path / "archive")}
    folder["FAREGATE_LEDGER_MIGRATION_URL"] = running.owner_url

    done = await command(running, "archive", "--json", **folder)
    refused = await command(running, "archive", "--before", "2999-01-01", **folder)

    assert json.loads(done.stdout) == []
    assert (refused.returncode, "retention_too_short" in refused.stderr) == (2, True)


async def test_a_simulation_agrees_and_refuses_a_database_with_accounts(
    running: Any, fresh_database: FreshDatabase
) -> None:
    arguments = ("simulate", "--seed", "11", "--accounts", "2", "--months", "2", "--json", "--database")

    agreed = await command(running, *arguments, await fresh_database("ledger"))
    await running.new_account()
    refused = await command(running, *arguments, running.database_url)

    assert (json.loads(agreed.stdout)["accounts"], agreed.returncode) == (2, 0)
    assert (refused.returncode, "empty" in refused.stderr) == (2, True)


async def test_the_topic_is_searched_for_calls_beside_the_consumer(running: Any) -> None:
    account_id = await running.new_account()
    usage, other = running.make.usage(account_id), running.make.usage(account_id)
    await running.send(usage, other)
    await running.booked(usage.id, other.id)
    topic = UsageTopic(running.stack.kafka_bootstrap)

    found = await topic.find({usage.id, uuid4()}, since=usage.admitted_at)
    later = await topic.find({usage.id}, since=usage.admitted_at + timedelta(days=1))

    assert [json.loads(record.value)["id"] for record in found] == [str(usage.id)]
    assert later == []


class _Tokens:
    async def headers(self, audience: str) -> dict[str, str]:
        return {"authorization": f"Bearer for-{audience}"}


async def test_every_gateway_is_asked_hour_by_hour_with_a_token_and_one_that_is_away_is_named(running: Any) -> None:
    start = running.make.clock.now().replace(minute=0, second=0, microsecond=0)
    call = running.make.usage(await running.new_account())
    asked: list[tuple[str, str, str]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append((request.url.host, request.url.params["from"], request.headers["authorization"]))
        if request.url.host == "away":
            raise httpx2.ConnectError("refused", request=request)
        if request.url.host == "stranger":
            return httpx2.Response(404)
        ids = [str(call.id)] if request.url.params["from"] == start.isoformat() else []
        return httpx2.Response(200, json={"instance": "gateway/1", "ids": ids})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        gateways = ("http://mine", "http://stranger", "http://away")
        journals = GatewayJournals(gateways, http=http, tokens=_Tokens())
        found = await journals.journalled("gateway/1", start=start, end=start + timedelta(minutes=90))
        nobody = await GatewayJournals(gateways[1:2], http=http, tokens=_Tokens()).journalled(
            "gateway/1", start=start, end=start + timedelta(minutes=1)
        )

    assert (found.ids, found.unreachable) == (frozenset({call.id}), ("http://away",))
    assert nobody.ids is None
    assert [host for host, _, _ in asked] == ["mine", "mine", "stranger", "stranger", "away", "stranger"]
    assert {token for _, _, token in asked} == {"Bearer for-gateway"}


async def test_lost_calls_are_ended_by_whichever_gateway_has_them_a_thousand_at_a_time() -> None:
    lost = [UUID(int=number) for number in range(2500)]
    asked: list[tuple[str, int]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        ids = json.loads(request.content)["ids"]
        asked.append((request.url.host, len(ids)))
        if request.url.host == "away":
            raise httpx2.ConnectError("refused", request=request)
        if request.url.host == "stranger":
            return httpx2.Response(404)
        assert request.url.raw_path == b"/internal/journal/gateway%2F1/lost"
        return httpx2.Response(200, json={"instance": "gateway/1", "ids": ids[:-1]})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        gateways = ("http://away", "http://stranger", "http://mine")
        reported = await GatewayJournals(gateways, http=http, tokens=_Tokens()).report_lost("gateway/1", lost)

    assert set(lost) - reported == {lost[999], lost[1999], lost[2499]}
    assert asked == [("away", 1000), *[("stranger", some) for some in (1000, 1000, 500)],
                     *[("mine", some) for some in (1000, 1000, 500)]]  # fmt: skip
