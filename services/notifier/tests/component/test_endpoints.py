"""Customers' endpoints: signed, tried for days, disabled after long failure, replayed; and nobody sees another's."""

import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from services.notifier.tests import factories
from services.notifier.tests.receiver import Receiver, receiving
from services.notifier.tests.running import Notifier, in_process, make_due, until
from services.notifier.tests.stand_in_auth import StandInAuth
from sqlalchemy import text
from standardwebhooks import WebhookVerificationError


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def notifier(surround) -> AsyncIterator[Notifier]:
    async with surround() as around, in_process(around, endpoints_may_be_local=True) as running:
        yield running


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def ask(notifier: Notifier, method: str, path: str, account_id: UUID, *, role: str = "owner", **body: Any):
    return await notifier.ask(method, f"/notifications/endpoints{path}", account_id=account_id, role=role, **body)


async def make(notifier: Notifier, account_id: UUID, url: str, **more: Any) -> dict[str, Any]:
    answer = await ask(notifier, "POST", "", account_id, url=url, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def targeted(notifier: Notifier, endpoint: dict[str, Any], state: str, *, count: int = 1):
    async def there() -> list[dict[str, Any]]:
        rows = await notifier.rows("target_id = :id AND state = :state", id=UUID(endpoint["id"]), state=state)
        return rows if len(rows) >= count else []

    return await until(there)


async def test_a_notice_reaches_the_endpoint_signed_and_once(
    notifier: Notifier, auth: StandInAuth, address: str, receiver: Receiver
) -> None:
    account_id = auth.account(address)
    endpoint = await make(notifier, account_id, f"{receiver.url}/hook?token=abc", kinds=["payment-received"])
    event = factories.payment_settled(account_id)
    await notifier.deliver(event, event, factories.payment_failed(account_id))
    row = (await targeted(notifier, endpoint, "sent"))[0]
    await notifier.mails(address, count=2)

    got = receiver.got[0]
    said = got.verified(endpoint["secret"])
    assert (len(receiver.got), got.headers["webhook-id"]) == (1, f"msg_{row['id'].hex}")
    assert (said["type"], said["data"]["account_id"]) == ("payment-received", str(account_id))
    assert said["data"]["summary"] == "We received your payment of 10.00 USD"
    with pytest.raises(WebhookVerificationError):
        got.verified(f"whsec_{base64.b64encode(b'another secret of some length').decode()}")
    assert endpoint["url"] == f"{receiver.url}/hook"


async def test_a_new_secret_signs_beside_the_old_one_until_the_overlap_ends(
    notifier: Notifier, auth: StandInAuth, address: str, receiver: Receiver
) -> None:
    account_id = auth.account(address)
    endpoint = await make(notifier, account_id, receiver.url)
    rotated = (await ask(notifier, "POST", f"/{endpoint['id']}/secret", account_id, overlap_s=3_600)).json()
    await ask(notifier, "POST", f"/{endpoint['id']}/test", account_id)
    await targeted(notifier, endpoint, "sent")
    receiver.got[0].verified(endpoint["secret"])
    receiver.got[0].verified(rotated["secret"])

    again = (await ask(notifier, "POST", f"/{endpoint['id']}/secret", account_id, overlap_s=0)).json()
    await ask(notifier, "POST", f"/{endpoint['id']}/test", account_id)
    await targeted(notifier, endpoint, "sent", count=2)
    receiver.got[1].verified(again["secret"])
    with pytest.raises(WebhookVerificationError):
        receiver.got[1].verified(rotated["secret"])
    shown = (await ask(notifier, "GET", f"/{endpoint['id']}", account_id)).text
    assert "whsec_" not in shown


async def test_an_endpoint_that_fails_is_tried_again_later_with_the_same_id_and_holds_up_no_mail(
    notifier: Notifier, auth: StandInAuth, address: str, receiver: Receiver
) -> None:
    account_id = auth.account(address)
    endpoint = await make(notifier, account_id, receiver.url)
    receiver.status = 503
    await notifier.deliver(factories.payment_settled(account_id), factories.payment_settled(account_id))
    await notifier.mails(address, count=2)

    async def failing() -> bool:
        return bool((await ask(notifier, "GET", f"/{endpoint['id']}", account_id)).json()["failing_since"])

    await until(failing)
    tried = len(receiver.got)
    receiver.status = 200
    await make_due(notifier, account_id)
    rows = await targeted(notifier, endpoint, "sent", count=2)

    assert max(row["attempts"] for row in rows) == 2
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 2
    assert len(receiver.got) > tried
    assert not await failing()


async def test_an_endpoint_that_failed_for_days_is_disabled_its_owner_told_and_what_it_missed_replayed(
    notifier: Notifier, auth: StandInAuth, address: str, receiver: Receiver
) -> None:
    account_id = auth.account(address)
    endpoint = await make(notifier, account_id, receiver.url)
    receiver.status = 500
    async with notifier.database.transaction() as session:
        days_ago = "UPDATE endpoint SET failing_since = now() - interval '3 days' WHERE id = :id"
        await session.execute(text(days_ago), {"id": UUID(endpoint["id"])})
    await notifier.deliver(factories.payment_settled(account_id))
    await until(
        lambda: notifier.rows("target_id = :id AND attempts = 1 AND reason IS NOT NULL", id=UUID(endpoint["id"]))
    )
    async with notifier.database.transaction() as session:
        last = "UPDATE delivery SET attempts = 9, next_attempt_at = now() WHERE target_id = :id AND state = 'pending'"
        await session.execute(text(last), {"id": UUID(endpoint["id"])})
    row = (await targeted(notifier, endpoint, "failed"))[0]
    mails = await notifier.mails(address, count=2)

    assert row["reason"] == "given up after 10 attempts: the endpoint answered 500"
    assert mails[0]["subject"] == "We stopped sending to one of your endpoints"
    told = await notifier.rows("kind = 'webhook-failures' AND payload->>'endpoint_id' = :id", id=endpoint["id"])
    assert len(told) == 1
    shown = (await ask(notifier, "GET", f"/{endpoint['id']}", account_id)).json()
    assert (shown["state"], shown["disabled_reason"]) == ("disabled", row["reason"])

    receiver.status = 200
    await notifier.deliver(factories.payment_settled(account_id))
    await notifier.mails(address, count=3)
    switched = await ask(notifier, "PATCH", f"/{endpoint['id']}", account_id, state="active")
    queued = await ask(notifier, "POST", f"/{endpoint['id']}/replay", account_id, since="2020-01-01T00:00:00Z")
    again = (await targeted(notifier, endpoint, "sent"))[0]
    assert (switched.json()["failing_since"], queued.json()) == (None, {"queued": 1})
    assert again["id"] == row["id"]
    assert {got.headers["webhook-id"] for got in receiver.got} == {f"msg_{row['id'].hex}"}


async def test_an_endpoint_that_says_it_is_gone_is_disabled_at_once(
    notifier: Notifier, auth: StandInAuth, address: str, receiver: Receiver
) -> None:
    account_id = auth.account(address)
    endpoint = await make(notifier, account_id, receiver.url)
    receiver.status = 410
    await notifier.deliver(factories.payment_settled(account_id))

    await targeted(notifier, endpoint, "failed")

    assert (await ask(notifier, "GET", f"/{endpoint['id']}", account_id)).json()["state"] == "disabled"


async def test_an_endpoint_is_its_accounts_own_and_its_managers(
    notifier: Notifier, auth: StandInAuth, address: str, receiver: Receiver
) -> None:
    account_id = auth.account(address)
    endpoint = await make(notifier, account_id, receiver.url)
    path = f"/{endpoint['id']}"
    asks = [
        ("GET", path, {}),
        ("PATCH", path, {"description": "mine"}),
        ("POST", f"{path}/secret", {"overlap_s": 0}),
        ("POST", f"{path}/test", {}),
        ("POST", f"{path}/replay", {"since": "2020-01-01T00:00:00Z"}),
        ("GET", f"{path}/deliveries", {}),
        ("DELETE", path, {}),
    ]

    for method, one, body in asks:
        foreign = await ask(notifier, method, one, uuid4(), **body)
        lesser = await ask(notifier, method, one, account_id, role="developer", **body)
        assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown_endpoint")
        assert (lesser.status_code, lesser.json()["code"]) == (403, "role_not_allowed")
    assert (await ask(notifier, "GET", "", uuid4())).json() == {"endpoints": []}
    assert (await ask(notifier, "DELETE", path, account_id)).status_code == 204
    assert (await ask(notifier, "GET", path, account_id)).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://user:pass@example.com/"}, "url"),
        ({"url": "https://example.com/", "channel": "slack"}, "url"),
        ({"url": "https://example.com/", "kinds": ["no-such-kind"]}, "kinds"),
        ({"url": "https://example.com/", "kinds": ["verify-email"]}, "kinds"),
        ({"url": "https://example.com/", "kinds": []}, "kinds"),
        ({"url": "https://example.com/", "channel": "pigeon"}, "channel"),
        ({"url": "https://example.com/", "description": "x" * 201}, "description"),
    ],
)
async def test_an_endpoint_that_cannot_be_is_refused_with_the_field(
    notifier: Notifier, body: dict[str, Any], field: str
) -> None:
    answer = await ask(notifier, "POST", "", uuid4(), **body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert "user:pass" not in answer.text


async def test_an_account_has_at_most_twenty_endpoints(notifier: Notifier) -> None:
    account_id = uuid4()
    for number in range(20):
        await make(notifier, account_id, f"http://127.0.0.1:1/{number}")

    answer = await ask(notifier, "POST", "", account_id, url="http://127.0.0.1:1/more")

    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_endpoints")


async def test_urls_and_secrets_are_sealed_where_they_are_kept(notifier: Notifier, receiver: Receiver) -> None:
    account_id = uuid4()
    endpoint = await make(notifier, account_id, f"{receiver.url}/x?key=very-secret")
    async with notifier.database.reading() as session:
        kept = repr(
            (await session.execute(text("SELECT * FROM endpoint WHERE account_id = :a"), {"a": account_id})).all()
        )

    assert "very-secret" not in kept
    assert endpoint["secret"] not in kept
