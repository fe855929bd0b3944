"""Beginning a checkout: our row first, then Stripe, then the answer, so that a repeat finds the same session."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.adapters.stripe_api import NewSession, StripeApi
from billing.domain.catalogue import TOP_UP, BundleSpec
from billing.domain.offers import Purchase, Terms
from billing.domain.states import CheckoutSession
from billing.domain.taxes import AUTOMATIC_TAX
from billing.errors import (
    AccountNotReadyError,
    AlreadySubscribedError,
    NotForThisOfferError,
    OfferNotSoldError,
    StripeShapeError,
    UnknownOfferError,
    UnknownSessionError,
)
from billing.repository import accounts, catalogue, checkouts, payments, switches
from billing.service.buying import chosen
from billing.service.customers import ensure_customer, ensure_price
from billing.service.paths import Paths
from kit import idempotency
from kit.clock import Clock
from kit.database import Database
from kit.ids import uuid7

ROUTE: Final = "POST /billing/checkout"


@dataclass(frozen=True, slots=True)
class Order:
    """What an account wants to buy, and where the buyer goes afterwards; without an offer it sets up a card."""

    account_id: UUID
    offer_id: str | None
    idempotency_key: str
    success_url: str
    cancel_url: str
    body: Mapping[str, Any]
    seats: int | None = None
    amount_minor: int | None = None
    currency: str | None = None

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
    purchase: Purchase | None
    success_url: str
    cancel_url: str
    trial_days: int | None
    is_taxed: bool


class CheckoutDesk:
    """Runs a checkout over its short transactions, with Stripe between them and never inside one."""

    def __init__(self, database: Database, stripe: StripeApi, *, paths: Paths, clock: Clock) -> None:
        self._database = database
        self._stripe = stripe
        self._paths = paths
        self._clock = clock

    async def open(self, order: Order) -> Opened:
        """The session for this order; the same key and body give the same one."""
        async with self._database.transaction() as session:
            begun = await begin_checkout(session, order, paths=self._paths, clock=self._clock)
        if isinstance(begun, Opened):
            return begun
        customer = await ensure_customer(self._database, self._stripe, order.account_id)
        price_id = await self._price(begun.purchase)
        found = await self._stripe.create_session(
            NewSession(
                key=str(begun.checkout_id),
                account_id=order.account_id,
                customer=customer,
                purchase=begun.purchase,
                price_id=price_id,
                success_url=begun.success_url,
                cancel_url=begun.cancel_url,
                trial_days=begun.trial_days,
                is_taxed=begun.is_taxed,
            )
        )
        async with self._database.transaction() as session:
            return await finish_checkout(session, order, begun, found)

    async def _price(self, purchase: Purchase | None) -> str | None:
        if purchase is None:
            return None
        if purchase.amount_minor is not None:
            await self._stripe.create_product(purchase.terms)
            return None
        return await ensure_price(self._database, self._stripe, purchase.terms, currency=purchase.currency)


async def begin_checkout(session: AsyncSession, order: Order, *, paths: Paths, clock: Clock) -> Begun | Opened:
    """Claim the key and write down what is bought at today's terms; a repeat keeps the terms of the first try."""
    attempt = await idempotency.begin(
        session, scope=order.scope, route=ROUTE, key=order.idempotency_key, body=order.body
    )
    if attempt.answer is not None:
        return _opened(attempt.answer)
    if not await accounts.lock_account(session, order.account_id):
        raise AccountNotReadyError("The account is still being set up; try again.", retry_after_s=1)
    row = await checkouts.find_begun(session, order.account_id, order.idempotency_key)
    if row is None:
        purchase = await _ordered(session, order, paths=paths, now=clock.now())
        # Kept: a repeat must ask Stripe for the very same, however the switch stands by then.
        is_taxed = await switches.is_on(session, AUTOMATIC_TAX)
        row = await checkouts.insert_checkout(session, is_taxed=is_taxed, **_values(order, purchase, clock=clock))
    else:
        purchase = await _first(session, row)
    return Begun(
        checkout_id=row.id,
        purchase=purchase,
        success_url=row.success_url,
        cancel_url=row.cancel_url,
        trial_days=await _trial_days(session, order.account_id, purchase),
        is_taxed=row.is_taxed,
    )


async def _first(session: AsyncSession, row: Any) -> Purchase | None:
    """What the first try of a key bought."""
    if row.offer_id is None or row.version is None:
        return None
    terms = await catalogue.find_terms(session, row.offer_id, row.version)
    assert terms is not None
    return Purchase(terms, row.currency, row.quantity, row.amount_minor)


def _values(order: Order, purchase: Purchase | None, *, clock: Clock) -> dict[str, Any]:
    values = {
        "id": uuid7(clock),
        "account_id": order.account_id,
        "idempotency_key": order.idempotency_key,
        "mode": "setup",
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
        "created_at": clock.now(),
        "offer_id": None,
        "version": None,
    }
    if purchase is None:
        return values
    return {
        **values,
        "mode": "subscription" if purchase.terms.is_plan else "payment",
        "offer_id": purchase.terms.offer_id,
        "version": purchase.terms.version,
        "currency": purchase.currency,
        "quantity": purchase.quantity,
        "amount_minor": purchase.amount_minor,
    }


async def _ordered(session: AsyncSession, order: Order, *, paths: Paths, now: datetime) -> Purchase | None:
    """What an order buys at today's terms; refused where its way of paying is not open, or it does not fit."""
    if order.offer_id is None:
        await _check_any_open(session, order.account_id, paths)
        return None
    terms = await _sold_terms(session, order.offer_id, now=now)
    await paths.check_open(session, order.account_id, "top_up" if order.offer_id == TOP_UP else "checkout")
    current = await payments.find_current_subscription(session, order.account_id)
    living = None if current is None or payments.has_ended(current) else current
    purchase = chosen(terms, order)
    plans = terms.spec.only_with if isinstance(terms.spec, BundleSpec) else ()
    if plans and (living is None or living.plan_id not in plans):
        raise NotForThisOfferError(f"This add-on is for subscribers of {', '.join(plans)}.", field="offer")
    if terms.is_plan and living is not None:
        raise AlreadySubscribedError("This account has a subscription already.", field="offer")
    return purchase


async def _check_any_open(session: AsyncSession, account_id: UUID, paths: Paths) -> None:
    """A card is of use where anything may be paid with it later."""
    if not (await paths.of_account(session, account_id)).names():
        await paths.check_open(session, account_id, "checkout")


async def _trial_days(session: AsyncSession, account_id: UUID, purchase: Purchase | None) -> int | None:
    """A plan's trial is for accounts that never subscribed."""
    if purchase is None or not purchase.terms.is_plan or purchase.terms.plan.trial_days is None:
        return None
    return None if await payments.has_subscribed(session, account_id) else purchase.terms.plan.trial_days


async def _sold_terms(session: AsyncSession, offer_id: str, *, now: datetime) -> Terms:
    found = await catalogue.find_holding(session, offer_id, now)
    if found is None:
        raise UnknownOfferError("There is no such offer; see GET /billing/offers.", field="offer")
    terms, on_sale = found
    if not on_sale or not terms.is_sold:
        raise OfferNotSoldError("This offer cannot be bought; see GET /billing/offers.", field="offer")
    return terms


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
    offer_id: str | None
    mode: str
    status: str
    settled: bool


async def get_progress(session: AsyncSession, session_id: str) -> Progress:
    row = await checkouts.find_checkout(session, session_id)
    if row is None:
        raise UnknownSessionError("There is no such checkout.")
    settled = row.status == "complete" and await _is_settled(session, row)
    return Progress(row.account_id, session_id, row.offer_id, row.mode, row.status, settled)


async def _is_settled(session: AsyncSession, row: Any) -> bool:
    """Whether what the checkout was for stands in our books."""
    if row.mode == "setup":
        return True
    if row.subscription_id is not None:
        return await payments.has_settled(session, row.subscription_id)
    payment = await payments.find_payment(session, row.payment_id) if row.payment_id else None
    return payment is not None and payment.status == "settled"
