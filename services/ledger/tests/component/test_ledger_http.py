"""What customers, operators and gateways get over HTTP, and what is refused."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from asyncpg import connect
from asyncpg.exceptions import LockNotAvailableError
from factories import CALL_NANO, CREDIT, allocated

from kit.testing import Signer
from kit.tokens import STEPPED_UP
from ledger.entrypoints.operator import ROUTE

BLOCKED = """SELECT count(*) > 0 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM account%FOR UPDATE%'"""


@pytest.fixture
def running(running_for_all: Any) -> Any:
    return running_for_all


async def test_the_balance_names_plan_grants_and_version(running: Any) -> None:
    account_id = await running.new_account()

    answer = await running.get("/ledger/balance", token=running.owner(account_id))

    assert answer.status_code == 200
    body = answer.json()
    assert (body["plan"], body["available_credits"], body["debt_credits"]) == ("trial", "5", "0")
    assert [(grant["source"], grant["remaining_credits"]) for grant in body["grants"]] == [("trial", "5")]
    assert body["thresholds"] == {"arming": 1, "base_credits": "5", "crossed": []}


async def test_a_charge_answers_which_request_counts_prices_and_grants(running: Any) -> None:
    account_id = await running.new_account()
    token = running.owner(account_id)
    trial = (await running.get("/ledger/balance", token=token)).json()["grants"][0]["grant_id"]
    call = running.make.usage(account_id, allocation=allocated(trial, CREDIT))
    await running.send(call)
    await running.booked(call.id)

    body = (await running.get(f"/v1/requests/{call.id}", token=token)).json()

    assert body["price_credits"] == "0.00345"
    assert body["counts"]["input_tokens"] == 1000
    assert (body["price_book_version"], body["markup_percent"], body["plan"]) == (1, "15", "trial")
    (line,) = body["lines"]
    assert (line["kind"], line["quantity"], line["unit_price_credits"], line["amount_credits"]) == (
        "input",
        1000,
        "0.000003",
        "0.003",
    )
    (burnt,) = body["grants"]
    assert (burnt["grant_id"], burnt["source"], burnt["amount_credits"]) == (trial, "trial", "0.00345")
    assert [one["type"] for one in body["transfers"]] == ["deduction"]
    assert body["cost_credits"] is None

    seen = await running.get(f"/v1/requests/{call.id}", token=running.operator(), account_id=str(account_id))
    assert seen.json()["cost_credits"] == "0.003"
    assert [one["type"] for one in seen.json()["transfers"]] == ["deduction", "cost"]


async def test_transactions_are_paged_newest_first_with_balances(running: Any) -> None:
    account_id = await running.new_account()
    token = running.owner(account_id)
    calls = [running.make.usage(account_id) for _ in range(4)]
    await running.send(*calls)
    await running.booked(*(call.id for call in calls))

    first = (await running.get("/ledger/transactions", token=token, limit=3)).json()
    second = (await running.get("/ledger/transactions", token=token, limit=3, cursor=first["next_cursor"])).json()

    listed = first["items"] + second["items"]
    assert second["next_cursor"] is None
    assert [one["type"] for one in listed] == ["deduction"] * 4 + ["topup"]
    assert listed[0]["amount_credits"] == "-0.00345"
    assert listed[0]["balance_before_credits"] == listed[1]["balance_after_credits"]
    assert (listed[-1]["balance_before_credits"], listed[-1]["balance_after_credits"]) == ("0", "5")
    assert listed[0]["model"] == "claude-sonnet-4-5"


async def test_requests_are_filtered_and_paged(running: Any) -> None:
    account_id, key = await running.new_account(), uuid4()
    token = running.owner(account_id)
    calls = [running.make.usage(account_id) for _ in range(3)]
    failed = running.make.usage(account_id, tokens=0, outcome="upstream_error", basis="none", api_key_id=key)
    await running.send(*calls, failed)
    await running.booked(failed.id, *(call.id for call in calls))

    page = (await running.get("/v1/requests", token=token, limit=3)).json()
    rest = (await running.get("/v1/requests", token=token, limit=3, cursor=page["next_cursor"])).json()
    assert len(page["items"]) == 3
    ids = [one["id"] for one in page["items"] + rest["items"]]
    assert ids == sorted((str(call.id) for call in (*calls, failed)), reverse=True)

    by_key = (await running.get("/v1/requests", token=token, api_key_id=str(key))).json()["items"]
    assert [(one["id"], one["price_credits"]) for one in by_key] == [(str(failed.id), "0")]
    completed = (await running.get("/v1/requests", token=token, outcome="completed")).json()["items"]
    assert len(completed) == 3
    later = (await running.get("/v1/requests", token=token, **{"from": "2099-01-01T00:00:00Z"})).json()["items"]
    assert later == []


async def test_a_plain_user_sees_own_calls_only(running: Any) -> None:
    account_id, user_id = await running.new_account(), uuid4()
    own, other = running.make.usage(account_id, user_id=user_id), running.make.usage(account_id, user_id=uuid4())
    await running.send(own, other)
    await running.booked(own.id, other.id)
    token = running.owner(account_id, user_id=user_id, role="user")

    listed = (await running.get("/v1/requests", token=token)).json()["items"]
    assert [one["id"] for one in listed] == [str(own.id)]
    assert (await running.get(f"/v1/requests/{other.id}", token=token)).status_code == 404
    assert (await running.get("/ledger/balance", token=token)).json()["code"] == "role_not_allowed"


async def test_nobody_sees_another_account(running: Any) -> None:
    account_id, stranger = await running.new_account(), await running.new_account()
    call = running.make.usage(account_id)
    await running.send(call)
    await running.booked(call.id)
    token = running.owner(stranger)

    assert (await running.get(f"/v1/requests/{call.id}", token=token)).status_code == 404
    answer = await running.get("/ledger/balance", token=token, account_id=str(account_id))
    assert (answer.status_code, answer.json()["code"]) == (403, "other_account")


async def test_an_adjustment_is_applied_once_per_key_and_another_body_is_refused(running: Any) -> None:
    """(money.md 17)."""
    account_id, token, key = await running.new_account(), running.operator(), uuid4().hex
    body = {"account_id": str(account_id), "amount_credits": "2.5", "reason": "goodwill for an outage"}

    first = await running.post("/ledger/operator/adjustments", body, token=token, key=key)
    assert (first.status_code, first.json()["available_credits"]) == (201, "7.5")
    row = await running.connection.fetchrow("SELECT * FROM adjustment WHERE account_id = $1", account_id)
    assert row["reason"] == "goodwill for an outage"

    operator = row["actor_user_id"]
    same = running.signer.user_token(account_id=uuid4(), user_id=operator, operator=True, acr=STEPPED_UP)
    repeated = await running.post("/ledger/operator/adjustments", body, token=same, key=key)
    assert (repeated.status_code, repeated.json()) == (201, first.json())
    other = await running.post("/ledger/operator/adjustments", {**body, "amount_credits": "3"}, token=same, key=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert (await running.get("/ledger/balance", token=running.owner(account_id))).json()["available_credits"] == "7.5"


async def test_an_adjustment_claims_its_key_before_it_waits_for_the_account(running: Any) -> None:
    """(money.md 17)."""
    account_id, user_id = await running.new_account(), uuid4()
    token = running.signer.user_token(account_id=uuid4(), user_id=user_id, operator=True, acr=STEPPED_UP)
    body = {"account_id": str(account_id), "amount_credits": "1", "reason": "in order"}
    other = await connect(running.database_url)
    async with running.connection.transaction():
        await running.connection.execute("SELECT 1 FROM account WHERE id = $1 FOR UPDATE", account_id)
        waiting = asyncio.create_task(running.post("/ledger/operator/adjustments", body, token=token, key="first"))
        async with asyncio.timeout(10):
            while not await other.fetchval(BLOCKED):  # noqa: ASYNC110  # another connection waits
                await asyncio.sleep(0.02)
        await other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(LockNotAvailableError):
            await other.execute(
                "INSERT INTO idempotency (scope, route, key, digest) VALUES ($1, $2, 'first', '')", str(user_id), ROUTE
            )
    assert (await waiting).status_code == 201
    await other.close()


async def test_an_adjustment_takes_down_to_zero_unless_debt_is_allowed(running: Any) -> None:
    account_id, token = await running.new_account(), running.operator()
    body = {"account_id": str(account_id), "amount_credits": "-6", "reason": "granted by mistake"}

    refused = await running.post("/ledger/operator/adjustments", body, token=token, key="a")
    assert (refused.status_code, refused.json()["code"]) == (409, "insufficient_credits")
    taken = await running.post("/ledger/operator/adjustments", {**body, "allow_debt": True}, token=token, key="b")

    assert (taken.json()["available_credits"], taken.json()["debt_credits"]) == ("0", "1")


@pytest.mark.parametrize("amount", ["99999.999999999", "100000.000000001", "9000000"])
async def test_a_large_adjustment_keeps_every_digit(running: Any, amount: str) -> None:
    """(money.md 2)."""
    account_id, token = await running.new_account(), running.operator()
    body = {"account_id": str(account_id), "amount_credits": amount, "reason": "every digit"}

    given = await running.post("/ledger/operator/adjustments", body, token=token, key=uuid4().hex)

    assert given.json()["available_credits"] == str(Decimal(amount) + 5)
    listed = (await running.get("/ledger/transactions", token=running.owner(account_id))).json()["items"]
    assert listed[0]["amount_credits"] == amount


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount_credits": 5}, "amount_credits"),
        ({"amount_credits": "1e3"}, "amount_credits"),
        ({"amount_credits": "0"}, "amount_credits"),
        ({"amount_credits": "0.0000000001"}, "amount_credits"),
        ({"amount_credits": "9000000.000000001"}, "amount_credits"),
        ({"amount_credits": "-9007199.254740993"}, "amount_credits"),
        ({"amount_credits": "9000001"}, "amount_credits"),
        ({"reason": " "}, "reason"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"account_id": "nobody"}, "account_id"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_adjustment_names_the_field(running: Any, change: dict[str, object], field: str) -> None:
    """(money.md 2)."""
    body = {"account_id": str(uuid4()), "amount_credits": "1", "reason": "a good one", **change}

    answer = await running.post("/ledger/operator/adjustments", body, token=running.operator(), key="k")

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_adjustments_need_an_operator_a_key_and_an_account(running: Any) -> None:
    account_id = await running.new_account()
    body = {"account_id": str(account_id), "amount_credits": "1", "reason": "because I can"}
    path = "/ledger/operator/adjustments"

    assert (await running.post(path, body, token=running.owner(account_id), key="k")).status_code == 403
    stale = await running.post(path, body, token=running.owner(account_id, operator=True), key="k")
    assert (stale.status_code, stale.json()["code"]) == (403, "step_up_required")
    missing = await running.post(path, body, token=running.operator())
    assert (missing.status_code, missing.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    unknown = await running.post(path, {**body, "account_id": str(uuid4())}, token=running.operator(), key="k")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_account")


@pytest.mark.parametrize("path", ["/ledger/balance", "/ledger/transactions", "/v1/requests", "/ledger/operator/books"])
async def test_forged_expired_and_missing_tokens_are_refused(running: Any, path: str) -> None:
    forged = Signer(issuer="http://127.0.0.1:8080").user_token(account_id=uuid4(), operator=True)
    expired = running.signer.user_token(account_id=uuid4(), operator=True, lifetime_s=-60)
    service = running.signer.service_token("gateway", "ledger")

    for token in (forged, expired, service, "x", "eyJhbGciOiJub25lIn0.e30."):
        answer = await running.get(path, token=token)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert (await running.http.get(path)).status_code == 401


@pytest.mark.parametrize(
    ("params", "field"),
    [({"cursor": "!!"}, "cursor"), ({"limit": "0"}, "limit"), ({"outcome": "odd"}, "outcome"), ({"from": "x"}, "from")],
)
async def test_wrong_parameters_are_named(running: Any, params: dict[str, str], field: str) -> None:
    answer = await running.get("/v1/requests", token=running.owner(uuid4()), **params)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_snapshot_is_given_once_all_that_was_written_is_applied(running: Any) -> None:
    """(money.md 6, 29)."""
    account_id = await running.new_account()
    token = running.signer.service_token("gateway", "ledger")
    calls = [running.make.usage(account_id) for _ in range(20)]
    unknown = uuid4()
    await running.send(*calls)

    answer = await running.post(
        f"/internal/accounts/{account_id}/snapshot",
        {"calls": [str(unknown), *(str(call.id) for call in calls)]},
        token=token,
    )

    assert answer.status_code == 200
    body = answer.json()
    assert set(body["applied"]) == {str(call.id) for call in calls}
    assert body["slices"][0]["amount"] == str(5 * CREDIT - 20 * CALL_NANO)
    assert body["version"] >= 3
    assert (await running.post(f"/internal/accounts/{uuid4()}/snapshot", {}, token=token)).status_code == 404
    stranger = await running.post(f"/internal/accounts/{account_id}/snapshot", {}, token=running.owner(account_id))
    assert stranger.status_code == 401


async def test_health_readiness_and_the_openapi_document_answer(running: Any) -> None:
    assert (await running.http.get("/health/live")).status_code == 200
    async with asyncio.timeout(15):
        while (await running.http.get("/health/ready")).status_code != 200:  # noqa: ASYNC110  # it is asked over HTTP
            await asyncio.sleep(0.1)
    paths = (await running.http.get("/ledger/openapi.json")).json()["paths"]
    assert {"/ledger/balance", "/v1/requests/{request_id}", "/ledger/operator/adjustments"} <= paths.keys()
