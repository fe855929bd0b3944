"""The feed: who sees what of it, what they have read, and how it grows before their eyes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import httpx2
import pytest
import uvicorn
from services.notifier.tests import factories
from services.notifier.tests.running import Notifier, until
from services.notifier.tests.stand_in_auth import StandInAuth, free_socket


async def kinds(notifier: Notifier, account_id: UUID, *, role: str, user_id: UUID | None = None) -> list[str]:
    answer = await notifier.ask("GET", "/notifications", account_id=account_id, role=role, user_id=user_id)
    return [item["kind"] for item in answer.json()["items"]]


async def test_each_role_sees_what_it_may(notifier: Notifier, auth: StandInAuth, address: str) -> None:
    account_id = auth.account(address)
    await notifier.deliver(
        factories.payment_settled(account_id), factories.threshold_crossed(account_id, level="empty", available=0)
    )
    await notifier.settled(account_id, "sent", count=2)

    seen = {role: set(await kinds(notifier, account_id, role=role)) for role in ("owner", "admin", "developer", "user")}

    assert seen == {
        "owner": {"payment-received", "credit-empty"},
        "admin": {"payment-received", "credit-empty"},
        "developer": {"credit-empty"},
        "user": set(),
    }


async def test_what_concerns_a_person_is_in_their_feed_only_and_links_are_in_none(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id, user_id = uuid4(), uuid4()
    for kind in ("new-sign-in", "reset-password"):
        message_id = auth.message(address, kind=kind, link="https://faregate.example/secret")
        await notifier.deliver(factories.message_requested(message_id, kind=kind, user_id=user_id))
    await notifier.mails(address, count=2)

    assert await kinds(notifier, account_id, role="user", user_id=user_id) == ["new-sign-in"]
    assert await kinds(notifier, account_id, role="owner", user_id=uuid4()) == []


async def test_notices_are_marked_as_read_one_by_one_or_all_at_once_for_one_reader(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id, mine, other = auth.account(address), uuid4(), uuid4()
    await notifier.deliver(*(factories.payment_settled(account_id) for _ in range(3)))
    await notifier.settled(account_id, "sent", count=3)

    async def ask(method: str, path: str, user_id: UUID = mine) -> dict[str, object]:
        answer = await notifier.ask(method, path, account_id=account_id, user_id=user_id)
        assert answer.status_code == 200, answer.text
        return answer.json()

    first = (await ask("GET", "/notifications"))["items"][0]
    assert await ask("POST", f"/notifications/{first['id']}/read") == {"unread": 2}
    assert await ask("POST", f"/notifications/{first['id']}/read") == {"unread": 2}
    unread = await ask("GET", "/notifications?unread=true")
    assert first["id"] not in [item["id"] for item in unread["items"]]
    assert await ask("POST", "/notifications/read") == {"unread": 0}
    assert await ask("GET", "/notifications/unread", other) == {"unread": 3}
    await notifier.deliver(factories.payment_settled(account_id))
    await notifier.settled(account_id, "sent", count=4)
    assert await ask("GET", "/notifications/unread") == {"unread": 1}
    page = await ask("GET", "/notifications")
    assert [item["read_at"] is None for item in page["items"]] == [True, False, False, False]


async def test_a_notice_of_others_cannot_be_marked(notifier: Notifier, auth: StandInAuth, address: str) -> None:
    account_id = auth.account(address)
    await notifier.deliver(factories.payment_settled(account_id))
    row = (await notifier.settled(account_id, "sent"))[0]

    answer = await notifier.ask("POST", f"/notifications/{row['id']}/read", account_id=uuid4())

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_notice")


async def test_the_feed_speaks_the_readers_language(notifier: Notifier, auth: StandInAuth, address: str) -> None:
    account_id = auth.account(address)
    await notifier.deliver(factories.payment_settled(account_id))
    await notifier.settled(account_id, "sent")

    answer = await notifier.ask("GET", "/notifications", account_id=account_id, accept_language="de-DE,en;q=0.5")

    item = answer.json()["items"][0]
    assert (item["title"], item["summary"]) == ("Zahlung eingegangen", "Ihre Zahlung über 10,00 USD ist eingegangen")


class Stream:
    """The events of one open stream."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._lines = answer.aiter_lines()

    async def begun(self) -> None:
        """From now on nothing is missed."""
        async with asyncio.timeout(10):
            assert (await anext(self._lines)).startswith(":")

    async def next(self) -> tuple[str, dict[str, object]]:
        """Id and data of the next event."""
        found: dict[str, str] = {}
        async with asyncio.timeout(10):
            async for line in self._lines:
                if not line and "data" in found:
                    return found["id"], json.loads(found["data"])
                name, _, value = line.partition(": ")
                if name:
                    found[name] = value
        raise AssertionError("the stream ended")


@asynccontextmanager
async def streaming(
    notifier: Notifier, account_id: UUID, *, last: str | None = None, user_id: UUID | None = None
) -> AsyncIterator[Stream]:
    """A stream over a real connection, open and watching."""
    app = notifier.client._transport.app
    headers = {"authorization": f"Bearer {notifier.signer.user_token(account_id=account_id, user_id=user_id)}"}
    headers |= {"last-event-id": last} if last else {}
    with free_socket() as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            async with (
                httpx2.AsyncClient(base_url=url, timeout=20) as client,
                client.stream("GET", "/notifications/stream", headers=headers) as answer,
            ):
                assert answer.status_code == 200
                assert answer.headers["content-type"].startswith("text/event-stream")
                stream = Stream(answer)
                await stream.begun()
                yield stream
        finally:
            server.should_exit = True
            await task


async def test_a_stream_tells_what_comes_and_is_taken_up_again_where_it_ended(
    notifier: Notifier, auth: StandInAuth, address: str
) -> None:
    account_id = auth.account(address)
    await notifier.deliver(factories.payment_settled(account_id))
    await notifier.settled(account_id, "sent")
    async with streaming(notifier, account_id) as stream:
        await notifier.deliver(
            factories.payment_settled(auth.account(address)), factories.threshold_crossed(account_id)
        )
        first_id, first = await stream.next()
    await notifier.deliver(factories.payment_failed(account_id))
    await notifier.settled(account_id, "sent", count=3)
    async with streaming(notifier, account_id, last=first_id) as stream:
        told = [await stream.next()]
        while told[-1][1]["kind"] != "payment-failed":
            told.append(await stream.next())
        await notifier.deliver(factories.subscription_changed(account_id, f"sub_{uuid4().hex}"))
        _, live = await stream.next()

    assert (first["kind"], first["summary"]) == ("credit-low-25", "Less than 25 % of your credit is left")
    assert first_id not in [one for one, _ in told]
    assert live["kind"] == "subscription-changed"


async def test_a_stream_ends_when_its_session_is_revoked(notifier: Notifier, auth: StandInAuth, address: str) -> None:
    account_id, user_id = auth.account(address), uuid4()
    async with streaming(notifier, account_id, user_id=user_id) as stream:
        await notifier.deliver(factories.user_disabled(user_id))

        async def refused() -> bool:
            answer = await notifier.ask("GET", "/notifications", account_id=account_id, user_id=user_id)
            return answer.status_code == 401

        await until(refused)
        await notifier.deliver(factories.payment_settled(account_id))
        with pytest.raises(AssertionError, match="the stream ended"):
            await stream.next()
