"""What people change over HTTP: promo codes, refunds, holds, levels; and what is written down of it."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from factories import CREDIT

from contracts.money import Unit
from kit.tokens import STEPPED_UP

PROMOS, REDEEM = "/ledger/operator/promos", "/ledger/promos/redeem"
WELCOME = {"code": "Welcome-2026", "unit": "credit", "amount": "2.5", "valid_days": 30, "most": 2, "reason": "launch"}


async def test_a_promo_code_is_redeemed_once_per_account_and_no_more_often_than_it_may(running: Any) -> None:
    accounts = [await running.new_account() for _ in range(4)]
    made = await running.post(PROMOS, WELCOME, token=running.operator(), key="k")
    assert (made.status_code, made.json()["code"], made.json()["redeemed"]) == (201, "WELCOME-2026", 0)
    body = {"code": "welcome-2026"}

    first = await running.post(REDEEM, body, token=running.owner(accounts[0]), key="a")
    again = await running.post(REDEEM, body, token=running.owner(accounts[0]), key="a")
    twice = await running.post(REDEEM, body, token=running.owner(accounts[0]), key="b")
    assert (first.status_code, first.json()["amount"]) == (201, "2.5")
    assert again.json() == first.json()
    assert (twice.status_code, twice.json()["code"]) == (409, "promo_code_redeemed")
    balance = (await running.get("/ledger/balance", token=running.owner(accounts[0]))).json()
    assert (balance["available_credits"], {one["source"] for one in balance["grants"]}) == ("7.5", {"trial", "promo"})

    # One is left, and three ask for it at once.
    answers = await asyncio.gather(
        *(running.post(REDEEM, body, token=running.owner(one), key="a") for one in accounts[1:])
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert {one.json()["code"] for one in answers if one.status_code == 409} == {"promo_code_used_up"}
    (listed,) = (await running.get(PROMOS, token=running.operator())).json()["items"]
    assert listed["redeemed"] == 2
    books = (await running.get("/ledger/operator/books", token=running.operator())).json()
    assert books["balanced"], books


async def test_promo_codes_are_refused_with_the_field_and_the_reason(running: Any) -> None:
    account_id, operator = await running.new_account(), running.operator()
    token = running.owner(account_id)

    assert (await running.post(PROMOS, WELCOME, token=token, key="k")).status_code == 403
    for change, field in (
        ({"amount": "0"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "99999999999"}, "amount"),
        ({"amount": "1.5", "unit": "token"}, "amount"),
        ({"unit": "gold"}, "unit"),
        ({"code": "a b"}, "code"),
        ({"most": 0}, "most"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"colour": "red"}, "colour"),
    ):
        answer = await running.post(PROMOS, {**WELCOME, **change}, token=operator, key=uuid4().hex)
        assert (400 <= answer.status_code < 500, answer.json()["errors"][0]["field"]) == (True, field), answer.text
    assert (await running.post(PROMOS, WELCOME, token=operator, key="1")).status_code == 201
    taken = await running.post(PROMOS, WELCOME, token=operator, key="2")
    assert (taken.status_code, taken.json()["code"]) == (409, "promo_code_exists")
    unknown = await running.post(REDEEM, {"code": "nothing-here"}, token=token, key="k")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_promo_code")
    for role in ("user", "developer"):
        refused = await running.post(
            REDEEM, {"code": WELCOME["code"]}, token=running.owner(account_id, role=role), key="k"
        )
        assert refused.status_code == 403


async def test_a_call_is_given_back_in_parts_and_never_more_than_it_was_charged(running: Any) -> None:
    account_id, operator = await running.new_account(), running.operator()
    call = running.make.usage(account_id, tokens=1_000_000)
    await running.send(call)
    await running.booked(call.id)
    path, body = (
        "/ledger/operator/refunds",
        {"account_id": str(account_id), "request_id": str(call.id), "reason": "bad"},
    )

    part = await running.post(path, {**body, "amount_credits": "1"}, token=operator, key="a")
    assert (part.status_code, part.json()["returned_credits"]) == (201, "1")
    more = await running.post(path, {**body, "amount_credits": "2.450000001"}, token=operator, key="b")
    assert (more.status_code, more.json()["code"]) == (409, "refund_too_large")
    rest = await asyncio.gather(*(running.post(path, body, token=running.operator(), key="c") for _ in range(3)))
    assert sorted(answer.status_code for answer in rest) == [201, 409, 409]

    balance = (await running.get("/ledger/balance", token=running.owner(account_id))).json()
    assert balance["available_credits"] == "5"
    explained = (await running.get(f"/v1/requests/{call.id}", token=running.owner(account_id))).json()
    assert sum(Decimal(one["amount_credits"]) for one in explained["corrections"]) == Decimal("3.45")
    assert explained["price_credits"] == "3.45"
    books = (await running.get("/ledger/operator/books", token=operator)).json()
    assert books["balanced"], books
    lost = await running.post(path, {**body, "request_id": str(uuid4())}, token=operator, key="d")
    assert (lost.status_code, lost.json()["code"]) == (404, "unknown_request")


async def test_an_account_is_frozen_and_thawed_with_a_reason(running: Any) -> None:
    account_id, operator = await running.new_account(), running.operator()
    path = f"/ledger/operator/accounts/{account_id}"

    frozen = await running.post(f"{path}/freeze", {"reason": "stolen card"}, token=operator, key="a")
    assert (frozen.status_code, frozen.json()["frozen"]) == (201, True)
    token = running.owner(account_id)
    assert (await running.get("/ledger/balance", token=token)).json()["state"] == "frozen"
    assert (await running.get("/ledger/onboarding", token=token)).json()["stage"] == "frozen"
    thawed = await running.post(f"{path}/thaw", {"reason": "the bank says so"}, token=operator, key="a")
    assert thawed.json()["frozen"] is False
    assert (await running.get("/ledger/balance", token=token)).json()["state"] == "open"
    assert (await running.post(f"{path}/freeze", {"reason": "no"}, token=operator, key="b")).status_code == 422
    assert (await running.post(f"{path}/freeze", {"reason": "mine"}, token=token, key="b")).status_code == 403


async def test_levels_are_the_customers_to_set(running: Any) -> None:
    account_id = await running.new_account()
    token = running.owner(account_id)

    async def put(body: dict[str, Any], *, by: str = token) -> Any:
        headers = {"authorization": f"Bearer {by}"}
        return await running.http.put("/ledger/levels", json=body, headers=headers)

    assert (await running.get("/ledger/levels", token=token)).json()["percent"] == [25, 10]
    chosen = {"percent": [50, 5, 50], "credits": ["1.5"], "days_left": [7], "spend_spike_percent": 300}
    answer = await put(chosen)
    told = {**chosen, "usual": False, "percent": [50, 5]}
    assert (answer.status_code, answer.json()) == (200, told), answer.text
    assert (await running.get("/ledger/levels", token=token)).json() == told
    for body, field in (
        ({"percent": [0]}, "percent.0"),
        ({"credits": ["-1"]}, "credits.0"),
        ({"days_left": ["7"]}, "days_left.0"),
        ({"spend_spike_percent": 100}, "spend_spike_percent"),
        ({"usual": True, "percent": [5]}, "usual"),
        ({"levels": []}, "levels"),
    ):
        refused = await put(body)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field), refused.text
    assert (await put(chosen, by=running.owner(account_id, role="developer"))).status_code == 403
    assert (await put({"usual": True})).json()["usual"] is True


async def test_every_write_by_a_person_is_written_down_and_stays(running: Any) -> None:
    account_id, other, actor = await running.new_account(), await running.new_account(), uuid4()
    operator = running.signer.user_token(account_id=uuid4(), user_id=actor, operator=True, acr=STEPPED_UP)
    give = {"account_id": str(account_id), "amount_credits": "1", "reason": "goodwill"}
    await running.post("/ledger/operator/adjustments", give, token=operator, key="a")
    await running.post("/ledger/operator/adjustments", {**give, "account_id": str(other)}, token=operator, key="b")
    await running.post(f"/ledger/operator/accounts/{account_id}/freeze", {"reason": "odd"}, token=operator, key="c")
    await running.post(PROMOS, WELCOME, token=operator, key="d")

    own = (await running.get("/ledger/audit", token=running.owner(account_id, role="admin"))).json()["items"]
    assert [(one["action"], one["reason"], one["actor_user_id"]) for one in own] == [
        ("account.freeze", "odd", str(actor)),
        ("credits.adjust", "goodwill", str(actor)),
    ]
    first = (await running.get("/ledger/operator/audit", token=operator, limit=3)).json()
    rest = (await running.get("/ledger/operator/audit", token=operator, cursor=first["next_cursor"])).json()
    actions = [one["action"] for one in first["items"] + rest["items"]]
    assert actions == ["promo.create", "account.freeze", "credits.adjust", "credits.adjust"]
    assert (await running.get("/ledger/operator/audit", token=running.owner(account_id))).status_code == 403
    assert (await running.get("/ledger/audit", token=running.owner(account_id, role="developer"))).status_code == 403


async def test_margins_are_revenue_less_cost_less_fees_by_account_model_and_plan(running: Any) -> None:
    account_id, operator = await running.new_account(), running.operator()
    # 20 credits for 20 dollars at a fee of 1; the trial's five credits burn first and bring nothing.
    payment = running.make.settled(account_id, 20 * CREDIT, paid_minor=2_000, fee_minor=100, grant_unit=Unit.CREDIT)
    await running.send(payment)
    await running.until("SELECT count(*) > 0 FROM payment WHERE account_id = $1", account_id)
    call = running.make.usage(account_id, tokens=2_000_000)
    await running.send(call)
    await running.booked(call.id)

    for by, subject in (("account", str(account_id)), ("model", "claude-sonnet-4-5"), ("plan", "trial")):
        (row,) = (await running.get("/ledger/operator/margins", token=operator, by=by)).json()["items"]
        told = {name: row[f"{name}_credits"] for name in ("revenue", "cost", "fee", "margin", "price")}
        assert row["subject"] == subject
        assert told == {"revenue": "1.9", "cost": "6", "fee": "1", "margin": "-5.1", "price": "6.9"}, by
        assert row["margin_bps"] == -26_843
    owed = (await running.get("/ledger/operator/liabilities", token=operator)).json()
    credit = next(one for one in owed["outstanding"] if one["unit"] == "credit")
    assert (credit["paid"], credit["given"], owed["debt_credits"]) == ("18.1", "0", "0")
    assert (await running.get("/ledger/operator/debts", token=operator)).json()["items"] == []
    for path in ("margins", "liabilities", "debts"):
        assert (await running.get(f"/ledger/operator/{path}", token=running.owner(account_id))).status_code == 403


async def test_billing_is_told_how_tokens_divide_over_their_classes(running: Any) -> None:
    account_id = await running.new_account()
    await running.connection.execute(
        """
        INSERT INTO usage_day (account_id, day, plan_id, model, project_id, api_key_id, user_id, calls, failed,
            input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens, plan_requests,
            price_nano, value_nano, plan_tokens, overage_nano, cost_nano, recognised_nano)
        SELECT $1, (now() AT TIME ZONE 'UTC')::date - number, '', 'm', $2, $2, $2, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0,
            0, 0 FROM generate_series(0, 40) AS number
        """,
        account_id,
        UUID(int=0),
    )
    service = running.signer.service_token("billing", "ledger")

    answer = (await running.get("/internal/usage-mix", token=service)).json()

    (row,) = answer["models"]
    assert (answer["days"], row["calls"]) == (30, 30)
    assert sum(row["shares_ppm"].values()) == 1_000_000
    assert row["shares_ppm"]["output"] in (333_333, 333_334)
    assert (await running.get("/internal/usage-mix", token=running.operator())).status_code == 401
