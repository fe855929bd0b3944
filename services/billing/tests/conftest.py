"""Billing on the real servers, with the stand-in for Stripe: one app for the session, one account per test."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import pytest_asyncio
import uvicorn
from pydantic import SecretStr
from sqlalchemy import text

from billing.app import create_app
from billing.service.accounts import keep_account
from billing.settings import BillingSettings
from contracts.auth import AccountCreated
from contracts.event import Envelope, decode
from contracts.topics import EVENTS
from kit.clock import SystemClock
from kit.database import Database
from kit.producer import Producer
from kit.testing import Signer
from kit.tokens import STEPPED_UP
from sandbox.fixtures_stripe import StripeServer, running_stripe_server
from sandbox.testing import MigratedDatabase

sys.path.insert(0, str(Path(__file__).parent))

from counter import Counter, open_counter
from ledger_stand_in import Books, kept_books

MIGRATIONS = Path(__file__).parents[1] / "migrations"
PUBLIC_URL = "http://127.0.0.1:8080"
OLD_SECRET = "whsec_the_one_before"
PATIENCE_S = 20.0


@dataclass
class Account:
    """An account that auth has announced, and a token of its owner."""

    id: UUID
    headers: dict[str, str]


@dataclass
class Billing:
    """A running billing and what tests ask of it."""

    url: str
    http: httpx2.AsyncClient
    stripe: StripeServer
    signer: Signer
    database: Database
    settings: BillingSettings
    producer: Producer
    records: Callable[[str], Awaitable[list[tuple[bytes | None, bytes | None]]]]
    clock: SystemClock = field(default_factory=SystemClock)

    def headers(self, account_id: UUID, *, role: str = "owner") -> dict[str, str]:
        return {"authorization": f"Bearer {self.signer.user_token(account_id=account_id, role=role)}"}

    def operator_headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.signer.user_token(account_id=uuid4(), operator=True, acr=STEPPED_UP)}"}

    async def rows_changed(self, statement: str, **values: object) -> None:
        """What time would change, changed now."""
        async with self.database.transaction() as session:
            await session.execute(text(statement), values)

    async def known_account(self) -> Account:
        """An account that is here without Kafka, for billings that are started and killed."""
        account_id = uuid4()
        async with self.database.transaction() as session:
            await keep_account(session, self._created(account_id))
        return Account(account_id, self.headers(account_id))

    def _created(self, account_id: UUID) -> AccountCreated:
        return AccountCreated(
            id=uuid4(), time=self.clock.now(), account_id=account_id, kind="personal", owner_user_id=uuid4()
        )

    async def new_account(self) -> Account:
        account_id = uuid4()
        created = self._created(account_id)
        await self.producer.send(created.type, created.key.encode(), created.encode("auth"))
        await self.eventually(lambda: self.count("account", "id = :id", id=account_id), 1)
        return Account(account_id, self.headers(account_id))

    async def checkout(self, account: Account, offer: str, *, key: str | None = None, **fields: str) -> httpx2.Response:
        headers = account.headers | {"idempotency-key": key or uuid4().hex}
        return await self.http.post("/billing/checkout", json={"offer": offer, **fields}, headers=headers)

    async def opened(self, account: Account, offer: str) -> str:
        """The id of a new session."""
        answer = await self.checkout(account, offer)
        assert answer.status_code == 201, answer.text
        return answer.json()["session_id"]

    async def bought(self, account: Account, offer: str) -> dict[str, Any]:
        """A session that was paid, as Stripe has it, when everything has come to rest."""
        session_id = await self.opened(account, offer)
        session = self.stripe.control(f"/sandbox/checkout/{session_id}/pay")
        await self.rest()
        return session

    async def rest(self) -> None:
        """Wait until Stripe has delivered, everything is applied, and the outbox is empty."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._busy():  # noqa: ASYNC110  # other processes' work has no event to wait for
                await asyncio.sleep(0.05)

    async def _busy(self) -> bool:
        if any(delivery["state"] == "pending" for delivery in self.stripe.deliveries()):
            return True
        due = await self.count("account_settings", "due_at IS NOT NULL")
        return bool(due + await self.count("webhook_event", "state = 'pending'") + await self.count("outbox"))

    async def count(self, table: str, where: str = "true", **values: object) -> int:
        async with self.database.reading() as session:
            return await session.scalar(text(f"SELECT count(*) FROM {table} WHERE {where}"), values)  # noqa: S608

    async def rows(self, statement: str, **values: object) -> list[Any]:
        async with self.database.reading() as session:
            return list((await session.execute(text(statement), values)).all())

    async def events(self, topic: str, account_id: UUID) -> list[dict[str, Any]]:
        """The data of every record about this account, with the event's id."""
        found = [decode(value, EVENTS) for _, value in await self.records(topic) if value is not None]
        return [self._shown(one) for one in found if getattr(one.event, "account_id", None) == account_id]

    @staticmethod
    def _shown(envelope: Envelope) -> dict[str, Any]:
        return {**envelope.data, "id": str(envelope.event.id)}

    async def eventually(self, ask: Callable[[], Awaitable[Any]], wanted: Any) -> None:
        seen = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (seen := await ask()) != wanted:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"wanted {wanted!r}, saw {seen!r}") from None


@dataclass
class Shop:
    """A billing with the whole of `shop.toml`, and what its customers' programs ask of it."""

    billing: Billing
    books: Books

    async def ask(
        self, account: Account, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> httpx2.Response:
        headers = account.headers | {"idempotency-key": key or uuid4().hex}
        return await self.billing.http.request(method, path, json=body, headers=headers)

    async def done(self, account: Account, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer to what must succeed, when everything has come to rest."""
        answer = await self.ask(account, method, path, body)
        assert answer.status_code < 300, answer.text
        await self.billing.rest()
        return answer.json()

    async def buy(self, account: Account, offer: str | None = None, *, card: str = "ok", **fields: object) -> str:
        """Pay a checkout; the session's id."""
        wanted = {"offer": offer, **fields} if offer else {"mode": "setup"}
        session_id = (await self.done(account, "POST", "/billing/checkout", wanted))["session_id"]
        self.billing.stripe.control(f"/sandbox/checkout/{session_id}/pay", {"card": card})
        await self.billing.rest()
        return session_id

    async def subscription(self, account: Account) -> dict[str, Any]:
        return (await self.done(account, "GET", "/billing/subscription"))["subscription"]

    async def settings(self, account: Account) -> list[dict[str, Any]]:
        return await self.billing.events("billing.account-settings-changed.v1", account.id)


@asynccontextmanager
async def served(settings: BillingSettings, signer: Signer) -> AsyncIterator[str]:
    """The app on a free port of this loop: webhooks come over the network. Its address, once it is ready."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    # A group of its own: billings of other tests, some of them killed, must not take its partitions.
    app = create_app(settings, keys=signer.key_source, group=f"billing-{uuid4().hex}")
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2))
    server.install_signal_handlers = lambda: None  # pytest keeps its own
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _ready(url)
        yield url
    finally:
        server.should_exit = True
        await task
        listener.close()


async def _ready(url: str) -> None:
    async with asyncio.timeout(60), httpx2.AsyncClient() as http:
        while True:
            try:
                answer = await http.get(f"{url}/health/ready")
            except httpx2.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 200:
                return
            await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def make_settings(stack: Any, topics: list[str]) -> Callable[..., BillingSettings]:
    def make(database_url: str, stripe: StripeServer, **values: Any) -> BillingSettings:
        return BillingSettings(
            **{
                "environment": "sandbox",
                "kafka_bootstrap": stack.kafka_bootstrap,
                "public_url": PUBLIC_URL,
                "auth_url": "http://127.0.0.1:9",
                "port": 1,
                "database_url": database_url,
                "stripe_secret_key": stripe.secret_key,
                "stripe_webhook_secret": f"{OLD_SECRET},{stripe.webhook_secret}",
                "stripe_api_url": stripe.base_url,
                "open_paths": "checkout,top_up,auto_top_up,overage,pay_per_use",
                **values,
            }
        )

    return make


@pytest_asyncio.fixture(scope="session")
async def migrated_url(migrated_database: MigratedDatabase) -> Callable[[], Awaitable[str]]:
    return lambda: migrated_database("billing", MIGRATIONS)


@dataclass
class Ground:
    """A Stripe and a database of their own, on which billing may be started and stopped."""

    stripe: StripeServer
    signer: Signer
    settings: BillingSettings
    producer: Producer
    database: Database
    records: Any

    @asynccontextmanager
    async def serving(self, **changed: Any) -> AsyncIterator[Billing]:
        settings = self.settings.model_copy(update=changed)
        async with served(settings, self.signer) as url, httpx2.AsyncClient(base_url=url, timeout=30) as http:
            self.stripe.set_webhook_url(f"{url}/billing/webhooks/stripe")
            yield Billing(url, http, self.stripe, self.signer, self.database, settings, self.producer, self.records)


@pytest.fixture(scope="session")
def make_ground(stack: Any, migrated_url: Any, make_settings: Any, kafka_records: Any) -> Any:
    @asynccontextmanager
    async def make() -> AsyncIterator[Ground]:
        with running_stripe_server() as stripe:
            settings = make_settings(await migrated_url(), stripe)
            producer = Producer(stack.kafka_bootstrap, client_id="billing-tests")
            database = Database(settings.database_url.get_secret_value(), source="billing")
            yield Ground(stripe, Signer(issuer=PUBLIC_URL), settings, producer, database, kafka_records)
            await producer.stop()
            await database.close()

    return make


@pytest_asyncio.fixture(scope="session")
async def running(make_ground: Any) -> AsyncIterator[Billing]:
    async with make_ground() as ground, ground.serving() as billing:
        yield billing


@pytest_asyncio.fixture(scope="session")
async def shop(make_ground: Any) -> AsyncIterator[Shop]:
    """A billing that sells in every way there is, with books beside it."""
    async with kept_books() as books, make_ground() as ground:
        changed = {
            "catalogue": Path(__file__).with_name("shop.toml"),
            "auth_url": books.url,
            "ledger_url": books.url,
            "service_secret": SecretStr("a-secret"),
        }
        async with ground.serving(**changed) as billing:
            yield Shop(billing, books)


@pytest_asyncio.fixture
async def counter(migrated_url: Any) -> AsyncIterator[Counter]:
    """Billing's use cases without a process, on a database, a stand-in and a clock of the test's own."""
    async with open_counter(await migrated_url()) as own:
        yield own


@pytest_asyncio.fixture
async def customer(shop: Shop) -> Account:
    return await shop.billing.new_account()


@pytest_asyncio.fixture
async def ground(make_ground: Any) -> AsyncIterator[Ground]:
    """A billing of the test's own, apart from the session's."""
    async with make_ground() as own:
        yield own


@pytest_asyncio.fixture
async def billing(running: Billing) -> Billing:
    """The session's billing with the stand-in's switches as they are at first."""
    running.stripe.control(
        "/sandbox/webhooks",
        {
            "url": f"{running.url}/billing/webhooks/stripe",
            "paused": False,
            "duplicate": 0,
            "shuffle": False,
            "late_fees": False,
        },
    )
    return running


@pytest_asyncio.fixture
async def account(billing: Billing) -> Account:
    return await billing.new_account()
