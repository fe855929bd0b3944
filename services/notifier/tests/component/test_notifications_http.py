"""`GET /notifications` for the account, `GET /notifications/deliveries` for operators."""

from uuid import uuid4

import pytest
from services.notifier.tests import factories
from services.notifier.tests.running import Notifier
from services.notifier.tests.stand_in_auth import StandInAuth


async def test_an_account_sees_its_own_notices_newest_first_and_no_other_fields(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id = auth.account(address)
    await notifier.deliver(factories.threshold_crossed(account_id))
    await notifier.settled(account_id, "sent")
    await notifier.deliver(factories.payment_settled(account_id), factories.payment_settled(auth.account(address)))
    await notifier.settled(account_id, "sent", count=2)

    page = (await notifier.get("/notifications", account_id=account_id)).json()

    assert [item["title"] for item in page["items"]] == ["Payment received", "A quarter of your credit is left"]
    assert page["items"][0]["summary"] == "We received your payment of 10.00 USD"
    assert "payload" not in page["items"][0]
    assert page["next_cursor"] is None


async def test_pages_follow_each_other_without_gap_or_repetition(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id = auth.account(address)
    await notifier.deliver(*(factories.payment_settled(account_id) for _ in range(5)))
    await notifier.settled(account_id, "sent", count=5)

    found, cursor = [], ""
    while cursor is not None:
        path = f"/notifications?limit=2{f'&cursor={cursor}' if cursor else ''}"
        page = (await notifier.get(path, account_id=account_id)).json()
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]

    rows = await notifier.rows("account_id = :account", account=account_id)
    assert found == [str(row["id"]) for row in reversed(rows)]


async def test_only_operators_see_deliveries_and_their_reasons(notifier: Notifier, auth: StandInAuth) -> None:
    account_id = auth.account(f"bounce+{uuid4().hex}@mail.example")
    await notifier.deliver(factories.payment_settled(account_id))
    row = (await notifier.settled(account_id, "failed"))[0]
    path = "/notifications/deliveries?state=failed&limit=200"

    refused = await notifier.get(path, account_id=account_id)
    page = (await notifier.get(path, account_id=uuid4(), operator=True)).json()

    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    mine = next(item for item in page["items"] if item["id"] == str(row["id"]))
    assert mine["reason"] == row["reason"]
    assert mine["account_id"] == str(account_id)


@pytest.mark.parametrize(
    "query",
    ["cursor=nonsense", "cursor=WzEsMl0", "limit=0", "limit=201", "limit=many", "cursor=WyIyMDI2LTAxLTAxIiwieCJd"],
)
async def test_a_bad_query_is_refused_with_the_field(notifier: Notifier, query: str) -> None:
    answer = await notifier.get(f"/notifications?{query}", account_id=uuid4())

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


async def test_without_a_token_there_is_no_answer(notifier: Notifier) -> None:
    answer = await notifier.client.get("/notifications")

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_routes_are_described(notifier: Notifier) -> None:
    paths = (await notifier.client.get("/notifier/openapi.json")).json()["paths"]

    assert all(paths[path]["get"]["summary"] for path in ("/notifications", "/notifications/deliveries"))
