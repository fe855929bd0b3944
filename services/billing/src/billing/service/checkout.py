"""Beginning a checkout: our row first, then Stripe, then the answer, so that a repeat finds the same session."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.adapters.stripe_api import NewSession, StripeApi
from billing.domain.catalogue import Terms
from billing.domain.states import CheckoutSession
from billing.errors import (
    AccountNotReadyError,
    AlreadySubscribedError,
    OfferNotSoldError,
    StripeShapeError,
    UnknownOfferError,
    UnknownSessionError,
)
from billing.repository import accounts, catalogue, checkouts, payments
from kit import idempotency
from kit.clock import Clock
from kit.database import Database
from kit.ids import uuid7

ROUTE: Final = "POST /billing/checkout"


@dataclass(frozen=True, slots=True)
class Order:
    """What an account wants to buy, and where the buyer goes afterwards."""

    account_id: UUID
    offer_id: str
    idempotency_key: str
    success_url: str
    cancel_url: str
    body: Mapping[str, Any]

    @property
    def scope(self) -> str:
        return str(self.account_id)


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkout that can be paid at `url` until `expires_at`."""

    session_id: str
    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Begun:
    """A checkout that stands in our books and not yet, as far as we know, in Stripe's."""

    checkout_id: UUID
    terms: Terms
    success_url: str
    cancel_url: str
    customer: str | None
    price_id: str | None


class CheckoutDesk:
    """Runs a checkout over its short transactions, with Stripe between them and never inside one."""

    def __init__(self, database: Database, stripe: StripeApi, *, clock: Clock) -> None:
        self._database = database
        self._stripe = stripe
        self._clock = clock

    async def open(self, order: Order) -> Opened:
        """The session for this order; the same key and body give the same one."""
        async with self._database.transaction() as session:
            begun = await begin_checkout(session, order, clock=self._clock)
        if isinstance(begun, Opened):
            return begun
        customer = begun.customer or await self._customer(order.account_id)
        price_id = begun.price_id or await self._price(begun.terms)
        found = await self._stripe.create_session(
            NewSession(
                key=str(begun.checkout_id),
                account_id=order.account_id,
                customer=customer,
                terms=begun.terms,
                price_id=price_id,
                success_url=begun.success_url,
                cancel_url=begun.cancel_url,
            )
        )
        async with self._database.transaction() as session:
            return await finish_checkout(session, order, begun, found)

    async def _customer(self, account_id: UUID) -> str:
        made = await self._stripe.create_customer(account_id)
        async with self._database.transaction() as session:
            await accounts.insert_customer(session, account_id, made)
            standing = await accounts.find_customer(session, account_id)
        assert standing is not None
        return standing

    async def _price(self, terms: Terms) -> str:
        price_id, product_id = await self._stripe.create_price(terms)
        async with self._database.transaction() as session:
            await catalogue.insert_price(session, price_id, product_id, terms)
        return price_id


async def begin_checkout(session: AsyncSession, order: Order, *, clock: Clock) -> Begun | Opened:
    """Claim the key and write down what is bought at today's terms; a repeat keeps the terms of the first try."""
    attempt = await idempotency.begin(
        session, scope=order.scope, route=ROUTE, key=order.idempotency_key, body=order.body
    )
    if attempt.answer is not None:
        return _opened(attempt.answer)
    if not await accounts.lock_account(session, order.account_id):
        raise AccountNotReadyError("The account is still being set up; try again.", retry_after_s=1)
    terms = await _sold_terms(session, order.offer_id, now=clock.now())
    if terms.is_plan:
        await _check_not_subscribed(session, order.account_id)
    row = await checkouts.insert_checkout(
        session,
        id=uuid7(clock),
        account_id=order.account_id,
        idempotency_key=order.idempotency_key,
        offer_id=terms.offer_id,
        version=terms.version,
        mode="subscription" if terms.is_plan else "payment",
        success_url=order.success_url,
        cancel_url=order.cancel_url,
        created_at=clock.now(),
    )
    first_terms = await catalogue.find_terms(session, row.offer_id, row.version)
    assert first_terms is not None
    return Begun(
        checkout_id=row.id,
        terms=first_terms,
        success_url=row.success_url,
        cancel_url=row.cancel_url,
        customer=await accounts.find_customer(session, order.account_id),
        price_id=await catalogue.find_price(session, first_terms),
    )


async def _sold_terms(session: AsyncSession, offer_id: str, *, now: datetime) -> Terms:
    found = await catalogue.find_holding(session, offer_id, now)
    if found is None:
        raise UnknownOfferError("There is no such offer; see GET /billing/offers.", field="offer")
    terms, on_sale = found
    if not on_sale or terms.price_minor == 0:
        raise OfferNotSoldError("This offer cannot be bought; see GET /billing/offers.", field="offer")
    return terms


async def _check_not_subscribed(session: AsyncSession, account_id: UUID) -> None:
    current = await payments.find_current_subscription(session, account_id)
    if current is not None and not payments.has_ended(current):
        raise AlreadySubscribedError("This account has a subscription already.", field="offer")


async def finish_checkout(session: AsyncSession, order: Order, begun: Begun, found: CheckoutSession) -> Opened:
    """Keep Stripe's session and the answer for repeats."""
    if found.url is None:
        raise StripeShapeError("Stripe's session has no address to pay at.")
    await checkouts.open_checkout(session, begun.checkout_id, session_id=found.id, expires_at=found.expires_at)
    attempt = idempotency.Attempt(order.scope, ROUTE, order.idempotency_key)
    answer = {"session_id": found.id, "url": found.url, "expires_at": found.expires_at.isoformat()}
    await idempotency.finish(session, attempt, status=201, answer=answer)
    return Opened(found.id, found.url, found.expires_at)


def _opened(answer: Mapping[str, str]) -> Opened:
    return Opened(answer["session_id"], answer["url"], datetime.fromisoformat(answer["expires_at"]))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a checkout has come; `settled` once the payment is in our books."""

    account_id: UUID
    session_id: str
    offer_id: str
    mode: str
    status: str
    settled: bool


async def get_progress(session: AsyncSession, session_id: str) -> Progress:
    row = await checkouts.find_checkout(session, session_id)
    if row is None:
        raise UnknownSessionError("There is no such checkout.")
    settled = False
    if row.payment_id is not None:
        payment = await payments.find_payment(session, row.payment_id)
        settled = payment is not None and payment.status == "settled"
    return Progress(row.account_id, session_id, row.offer_id, row.mode, row.status, settled)
