"""Usage by time and group, the list of calls, forecasts, statements and files, as callers of each role see them."""

import csv
import io
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pyarrow.parquet as pq
import pytest
from factories import CALL_TOKENS

MONEY_ROUTES: dict[str, dict[str, str]] = {
    "/ledger/balance": {},
    "/ledger/transactions": {},
    "/ledger/forecast": {},
    "/ledger/statement": {"period": "2026-11"},
    "/ledger/levels": {},
    "/ledger/export": {"what": "transactions"},
}


@pytest.fixture
def running(running_for_all: Any) -> Any:
    return running_for_all


@pytest.fixture
async def used(running: Any) -> dict[str, Any]:
    """Six calls by two members with two keys on two models, one of them failed."""
    account_id, members, keys = await running.new_account(), [uuid4(), uuid4()], [uuid4(), uuid4()]
    models = ["claude-sonnet-4-5", "claude-haiku-4-5"]
    calls = [
        running.make.usage(
            account_id,
            user_id=members[number % 2],
            api_key_id=keys[number // 3],
            model_served=models[number % 3 == 0],
            **({"outcome": "upstream_error", "tokens": 0, "basis": "none"} if number == 5 else {}),
        )
        for number in range(6)
    ]
    await running.send(*calls)
    await running.booked(*(call.id for call in calls))
    return {"account_id": account_id, "members": members, "keys": keys, "calls": calls}


async def test_usage_adds_up_to_the_calls_however_it_is_grouped(running: Any, used: dict[str, Any]) -> None:
    token = running.owner(used["account_id"])
    listed = (await running.get("/v1/requests", token=token)).json()["items"]
    price = sum(Decimal(one["price_credits"]) for one in listed)

    for group in ("model", "project", "key", "member"):
        for granularity in ("hour", "day", "month", "total"):
            answer = await running.get("/ledger/usage", token=token, group_by=group, granularity=granularity)
            rows = answer.json()["items"]
            told = f"{group} by {granularity}: {answer.text}"
            assert sum(row["calls"] for row in rows) == 6, told
            assert sum(row["failed"] for row in rows) == 1, told
            assert sum(row["tokens"]["input"] for row in rows) == 5 * CALL_TOKENS, told
            assert sum(Decimal(row["price_credits"]) for row in rows) == price, told
            assert all(row["cost_credits"] is None for row in rows), told

    by_key = (await running.get("/ledger/usage", token=token, group_by="key")).json()["items"]
    assert {row["api_key_id"]: row["calls"] for row in by_key} == {str(key): 3 for key in used["keys"]}
    only = (await running.get("/ledger/usage", token=token, model="claude-haiku-4-5")).json()["items"]
    assert [row["calls"] for row in only] == [2]


async def test_usage_is_paged_without_a_gap(running: Any, used: dict[str, Any]) -> None:
    token, cursor, seen = running.owner(used["account_id"]), None, []
    params = {"group_by": ["model", "key", "member"], "limit": 2}
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = (await running.get("/ledger/usage", token=token, **params, **more)).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    whole = (await running.get("/ledger/usage", token=token, group_by=params["group_by"])).json()["items"]
    assert len(whole) == 6
    assert seen == whole


async def test_only_operators_see_what_calls_cost_us(running: Any, used: dict[str, Any]) -> None:
    account_id = str(used["account_id"])

    (row,) = (await running.get("/ledger/usage", token=running.operator(), account_id=account_id)).json()["items"]

    assert Decimal(row["cost_credits"]) > 0
    assert Decimal(row["price_credits"]) > Decimal(row["cost_credits"])


async def test_a_plain_user_sees_own_usage_and_no_money(running: Any, used: dict[str, Any]) -> None:
    member, other = used["members"]
    token = running.owner(used["account_id"], user_id=member, role="user")

    (row,) = (await running.get("/ledger/usage", token=token)).json()["items"]
    assert row["calls"] == 3
    (same,) = (await running.get("/ledger/usage", token=token, user_id=str(other))).json()["items"]
    assert same == row
    exported = await running.get("/ledger/export", token=token, what="requests")
    lines = list(csv.DictReader(io.StringIO(exported.text)))
    assert {line["user_id"] for line in lines} == {str(member)}
    for path, params in MONEY_ROUTES.items():
        refused = await running.get(path, token=token, **params)
        assert (refused.status_code, refused.json()["code"]) == (403, "role_not_allowed"), path
    assert (await running.get("/ledger/audit", token=token)).status_code == 403


async def test_calls_are_found_by_every_filter(running: Any, used: dict[str, Any]) -> None:
    token, calls = running.owner(used["account_id"]), used["calls"]

    async def found(**params: str) -> set[UUID]:
        items = (await running.get("/v1/requests", token=token, **params)).json()["items"]
        return {UUID(one["id"]) for one in items}

    assert await found(user_id=str(used["members"][0])) == {call.id for call in calls[::2]}
    assert await found(api_key_id=str(used["keys"][1])) == {call.id for call in calls[3:]}
    assert await found(model="claude-haiku-4-5") == {calls[0].id, calls[3].id}
    assert await found(outcome="upstream_error") == {calls[5].id}
    assert await found(min_price_credits="0.003") == {calls[number].id for number in (1, 2, 4)}
    assert await found(project_id=str(uuid4())) == set()


async def test_transactions_are_found_by_type_and_window(running: Any, used: dict[str, Any]) -> None:
    token = running.owner(used["account_id"])

    async def types(**params: str) -> list[str]:
        return [
            one["type"] for one in (await running.get("/ledger/transactions", token=token, **params)).json()["items"]
        ]

    assert await types(kind="topup") == ["topup"]
    assert await types(kind="deduction") == ["deduction"] * 5
    assert await types(**{"from": "2099-01-01T00:00:00Z"}) == []
    assert len(await types(**{"from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"})) == 6


@pytest.mark.parametrize(("what", "rows"), [("transactions", 6), ("requests", 6)])
async def test_both_files_hold_what_the_list_holds(running: Any, used: dict[str, Any], what: str, rows: int) -> None:
    token = running.owner(used["account_id"])

    text = await running.get("/ledger/export", token=token, what=what)
    pressed = await running.get("/ledger/export", token=token, what=what, format="parquet")

    lines = list(csv.DictReader(io.StringIO(text.text)))
    table = pq.read_table(io.BytesIO(pressed.content)).to_pylist()
    assert (text.headers["content-type"], len(lines)) == ("text/csv; charset=utf-8", rows)
    key = "sequence" if what == "transactions" else "id"
    assert [str(one[key]) for one in table] == [line[key] for line in lines]
    assert "attachment" in pressed.headers["content-disposition"]


async def test_a_cell_that_a_spreadsheet_would_run_is_quoted(running: Any) -> None:
    account_id = await running.new_account()
    call = running.make.usage(account_id, model_asked='=HYPERLINK("x")')
    await running.send(call)
    await running.booked(call.id)

    exported = await running.get("/ledger/export", token=running.owner(account_id), what="requests")

    (line,) = csv.DictReader(io.StringIO(exported.text))
    assert line["model_asked"] == '\'=HYPERLINK("x")'


async def test_a_statement_comes_as_json_as_csv_and_as_a_page(running: Any, used: dict[str, Any]) -> None:
    token, now = running.owner(used["account_id"]), running.make.clock.now()
    period = f"{now:%Y-%m}"

    body = (await running.get("/ledger/statement", token=token, period=period)).json()
    text = await running.get("/ledger/statement", token=token, period=period, format="csv")
    page = await running.get("/ledger/statement", token=token, period=period, format="html")

    (unit,) = body["units"]
    moved = sum(Decimal(movement["amount"]) for movement in unit["movements"])
    assert Decimal(unit["opening"]) + moved == Decimal(unit["closing"])
    lines = {line["line"]: line["amount"] for line in csv.DictReader(io.StringIO(text.text))}
    assert (lines["opening"], lines["closing"]) == (unit["opening"], unit["closing"])
    assert unit["closing"] in page.text
    assert "<script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    wrong = await running.get("/ledger/statement", token=token, period="2026-13")
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "period")


async def test_the_forecast_says_how_it_was_made(running: Any, used: dict[str, Any]) -> None:
    account_id, token = used["account_id"], running.owner(used["account_id"])
    first = (await running.get("/ledger/forecast", token=token)).json()
    assert (first["basis_days"], first["runs_out"]) == (0, None)

    await running.connection.execute(
        """
        INSERT INTO usage_day (account_id, day, plan_id, model, project_id, api_key_id, user_id, calls, failed,
            input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens, plan_requests,
            price_nano, value_nano, plan_tokens, overage_nano, cost_nano, recognised_nano)
        SELECT $1, (now() AT TIME ZONE 'UTC')::date - number, 'trial', 'm', $2, $2, $2, 1, 0, 0, 0, 0, 0, 0, 0,
            100000000, 100000000, 0, 0, 0, 0
        FROM generate_series(1, 28) AS number
        """,
        account_id,
        UUID(int=0),
    )
    found = (await running.get("/ledger/forecast", token=token)).json()

    assert found["basis_days"] == 28
    assert found["daily_spend"] == {"expected_credits": "0.1", "low_credits": "0.1", "high_credits": "0.1"}
    # The trial ends before five credits are used at a tenth a day.
    trial = (await running.get("/ledger/balance", token=token)).json()["grants"][0]
    assert found["runs_out"]["expected"][:10] in (trial["expires_at"][:10], found["runs_out"]["latest"][:10])
    assert "half-life" in found["method"]


async def test_onboarding_goes_from_trial_on(running: Any) -> None:
    account_id = await running.new_account()
    token = running.owner(account_id, role="user")
    assert (await running.get("/ledger/onboarding", token=token)).json()["stage"] == "trial"

    await running.send(running.make.settled(account_id))
    await running.until("SELECT count(*) > 0 FROM payment WHERE account_id = $1", account_id)

    assert (await running.get("/ledger/onboarding", token=token)).json()["stage"] == "active"


WRONG: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("/ledger/balance", {"at": "2026-11-21T00:00:00"}, "at"),
    ("/ledger/balance", {"At": "2026-11-21T00:00:00Z"}, "At"),
    ("/ledger/balance", {"account": "x"}, "account"),
    ("/ledger/transactions", {"kind": "cost"}, "kind"),
    ("/ledger/transactions", {"kind": "odd"}, "kind"),
    ("/ledger/transactions", {"from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"),
    ("/ledger/usage", {"granularity": "minute"}, "granularity"),
    ("/ledger/usage", {"group_by": "colour"}, "group_by.0"),
    ("/ledger/usage", {"group_by": ["model", "model"]}, "group_by"),
    ("/ledger/usage", {"from": "2020-01-01T00:00:00Z"}, "from"),
    ("/ledger/usage", {"from": "2026-11-01T00:00:00Z", "granularity": "hour"}, "from"),
    ("/ledger/usage", {"cursor": "WzFd"}, "cursor"),
    ("/ledger/usage", {"cursor": "WyJ4Il0"}, "cursor"),
    ("/v1/requests", {"min_price_credits": "-1"}, "min_price_credits"),
    ("/v1/requests", {"modle": "x"}, "modle"),
    ("/ledger/statement", {}, "period"),
    ("/ledger/statement", {"period": "2026-11", "format": "pdf"}, "format"),
    ("/ledger/export", {"what": "secrets"}, "what"),
    ("/ledger/export", {"what": "requests", "from": "1999-01-01T00:00:00Z"}, "from"),
    ("/ledger/forecast", {"days": "3"}, "days"),
)


async def test_what_is_wrong_or_unknown_is_named(running: Any) -> None:
    for path, params, field in WRONG:
        answer = await running.get(path, token=running.owner(uuid4()), **params)
        told = f"{path} with {params}: {answer.text}"
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), told
        assert answer.json()["errors"][0]["field"] == field, told
