"""Billing's use cases on a database and a stand-in of their own, without a process, on a clock that tests move."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
from faults import FaultyTransport, FaultyWay
from ledger_stand_in import Books, kept_books
from sqlalchemy import text

from billing.adapters.catalogue_file import load_catalogue
from billing.adapters.ledger_api import LedgerApi
from billing.adapters.stripe_api import StripeApi
from billing.adapters.stripe_subscriptions import StripeSubscriptions
from billing.entrypoints.poller import Sweeper
from billing.entrypoints.webhook_worker import WebhookWorker
from billing.service.accounts import keep_account
from billing.service.catalogue import publish_catalogue
from billing.service.changing import ChangeDesk
from billing.service.checkout import CheckoutDesk, Order
from billing.service.collecting import Collecting
from billing.service.metering import Metering
from billing.service.once import Write
from billing.service.paths import Paths
from billing.service.pay_per_use import PayPerUse
from billing.service.tax_ids import TaxIdDesk
from billing.service.taxes import Taxes
from billing.service.wallets import WalletDesk
from contracts.auth import AccountCreated
from kit.clock import ManualClock, SystemClock
from kit.database import Database
from kit.identity import ServiceTokens
from sandbox.fixtures_stripe import StripeServer, running_stripe_server

SHOP = Path(__file__).with_name("shop.toml")
ALL_PATHS = frozenset({"checkout", "top_up", "auto_top_up", "overage", "pay_per_use"})


@dataclass
class Counter:
    """Each use case over a way to Stripe that may be a faulty one; without retries of the SDK's own."""

    database: Database
    server: StripeServer
    books: Books
    http: httpx2.AsyncClient
    clock: ManualClock
    catalogue: Path = SHOP
    paths: Paths = field(init=False)
    ways: dict[str, StripeApi] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.paths = Paths(ALL_PATHS, self.clock)

    def stripe(self, transport: FaultyTransport | None = None) -> StripeApi:
        if transport is None and self.server.base_url in self.ways:
            return self.ways[self.server.base_url]
        way = FaultyWay(transport) if transport else None
        made = StripeApi(self.server.secret_key, api_url=self.server.base_url, http=way, retries=0)
        self.ways[self.server.base_url if transport is None else f"faulty {len(self.ways)}"] = made
        return made

    def changes(self, transport: FaultyTransport | None = None) -> ChangeDesk:
        stripe = self.stripe(transport)
        use = PayPerUse(self.paths, self.clock)
        metering = Metering(self.database, stripe.meters, clock=self.clock)
        subscriptions = StripeSubscriptions(stripe.client)
        return ChangeDesk(self.database, stripe, subscriptions, pay_per_use=use, metering=metering, clock=self.clock)

    def wallets(self, transport: FaultyTransport | None = None) -> WalletDesk:
        return WalletDesk(self.database, self.stripe(transport).payments, clock=self.clock)

    def taxes(self) -> Taxes:
        return Taxes(self.database, self.stripe().taxes, self.clock)

    def tax_ids(self, transport: FaultyTransport | None = None) -> TaxIdDesk:
        return TaxIdDesk(self.database, self.stripe(transport))

    def collecting(self, transport: FaultyTransport | None = None) -> Collecting:
        tokens = ServiceTokens(
            service="billing", secret="a-secret", auth_url=self.books.url, http=self.http, clock=self.clock
        )
        ledger = LedgerApi(self.books.url, http=self.http, tokens=tokens)
        stripe = self.stripe(transport)
        return Collecting(self.database, stripe.payments, stripe.taxes, ledger, self.paths, self.clock)

    async def hear(self) -> None:
        """Apply everything that Stripe has to tell, however often it was told."""
        sweeper = Sweeper(self.database, self.stripe(), clock=self.clock, wake=lambda: None)
        worker = WebhookWorker(self.database, self.stripe(), clock=self.clock)
        await sweeper.sweep(undelivered=False)
        while await worker.apply_due():
            pass

    async def account(self) -> UUID:
        account_id = uuid4()
        created = AccountCreated(
            id=uuid4(), time=self.clock.now(), account_id=account_id, kind="personal", owner_user_id=uuid4()
        )
        async with self.database.transaction() as session:
            await keep_account(session, created)
        return account_id

    async def buyer(self, offer: str | None = None, *, currency: str | None = None) -> UUID:
        """An account that has bought this, or has set up a card; all of it is applied."""
        account_id = await self.account()
        await self.buy(account_id, offer, currency=currency)
        return account_id

    async def buy(
        self, account_id: UUID, offer: str | None, *, currency: str | None = None, country: str | None = None
    ) -> None:
        """Pay a checkout; all of it is applied."""
        order = Order(
            account_id=account_id,
            offer_id=offer,
            idempotency_key=uuid4().hex,
            success_url="https://example.com/",
            cancel_url="https://example.com/",
            body={"offer": offer},
            currency=currency,
        )
        opened = await CheckoutDesk(self.database, self.stripe(), paths=self.paths, clock=self.clock).open(order)
        self.server.control(f"/sandbox/checkout/{opened.session_id}/pay", {"country": country} if country else {})
        await self.hear()

    def write(self, account_id: UUID, route: str) -> Write:
        return Write(account_id, route, uuid4().hex, {})

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        async with self.database.reading() as session:
            return list((await session.execute(text(statement), values)).all())

    async def change_rows(self, statement: str, **values: Any) -> None:
        async with self.database.transaction() as session:
            await session.execute(text(statement), values)

    async def settled(self, account_id: UUID) -> list[int]:
        """What was paid, by our books; the smallest first."""
        rows = await self.rows(
            "SELECT amount_minor FROM payment WHERE account_id = :id AND status = 'settled' ORDER BY amount_minor",
            id=account_id,
        )
        return [row.amount_minor for row in rows]

    async def told(self, account_id: UUID) -> int:
        """How many payments the other services were told of; the outbox is relayed by nobody here."""
        rows = await self.rows(
            "SELECT count(*) AS n FROM outbox WHERE topic = 'billing.payment-settled.v1' AND key = :key",
            key=str(account_id).encode(),
        )
        return int(rows[0].n)

    def listed(self, kind: str, **params: str) -> list[dict[str, Any]]:
        answer = httpx2.get(
            f"{self.server.base_url}/v1/{kind}", params={"limit": "100", **params}, auth=(self.server.secret_key, "")
        )
        return list(answer.raise_for_status().json()["data"])

    async def taken(self, account_id: UUID) -> list[int]:
        """What was paid, by Stripe's; the smallest first."""
        (row,) = await self.rows("SELECT id FROM stripe_customer WHERE account_id = :id", id=account_id)
        found = self.listed("payment_intents", customer=row.id)
        return sorted(one["amount_received"] for one in found if one["status"] == "succeeded")


@asynccontextmanager
async def open_counter(database_url: str) -> AsyncIterator[Counter]:
    """A counter that sells `shop.toml`."""
    clock = ManualClock(SystemClock().now())
    database = Database(database_url, source="billing")
    async with database.transaction() as session:
        await publish_catalogue(session, load_catalogue(SHOP), now=clock.now())
    with running_stripe_server(clock=clock) as server:
        async with kept_books() as books, httpx2.AsyncClient() as http:
            counter = Counter(database, server, books, http, clock)
            yield counter
            for way in counter.ways.values():
                await way.close()
    await database.close()
