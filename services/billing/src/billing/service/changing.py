"""Changing a subscription: looked at before it is done, done by Stripe, and applied from what Stripe has then."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.adapters.stripe_api import StripeApi
from billing.adapters.stripe_subscriptions import NewItem, StripeSubscriptions
from billing.domain.calendar import Span
from billing.domain.changes import AllowanceChange, When, allowance_change, when_of
from billing.domain.offers import Purchase
from billing.domain.states import Kept, Subscription
from billing.errors import (
    AlreadyChangedError,
    AlreadyEndedError,
    ChangeRefusedError,
    CurrencyNotSoldError,
    NoSubscriptionError,
    OfferNotSoldError,
    UnknownOfferError,
)
from billing.repository import catalogue, payments
from billing.service import inbox
from billing.service.buying import checked_seats
from billing.service.customers import ensure_price, get_customer
from billing.service.metering import Metering
from billing.service.once import Write, write_once
from billing.service.pay_per_use import PayPerUse
from billing.service.portal import PORTAL, ensure_portal
from billing.service.subscriptions import apply_subscription
from kit.clock import Clock
from kit.database import Database

_CHANGEABLE: Final = ("active", "trialing")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The plan that an account wants instead, and how many seats of it; None leaves them as they are."""

    account_id: UUID
    plan_id: str | None
    seats: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """A change that may be made: from what, to what, when."""

    subscription_id: str
    old: Purchase
    new: Purchase
    period: Span
    when: When
    trialing: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would cost now, and do to the allowance; `at` makes the change itself cost exactly that."""

    step: Step
    at: datetime
    due_minor: int
    tax_minor: int
    lines: tuple[tuple[str, int], ...]
    allowance: AllowanceChange | None


class ChangeDesk:
    """Runs changes over short transactions, with Stripe between them."""

    def __init__(
        self,
        database: Database,
        stripe: StripeApi,
        subscriptions: StripeSubscriptions,
        *,
        pay_per_use: PayPerUse,
        metering: Metering,
        clock: Clock,
    ) -> None:
        self._database = database
        self._stripe = stripe
        self._subscriptions = subscriptions
        self._pay_per_use = pay_per_use
        self._metering = metering
        self._clock = clock

    async def preview(self, wanted: Wanted) -> Preview:
        """What a change would cost; nothing is changed."""
        step = await self._step(wanted)
        now = self._clock.now().replace(microsecond=0)
        if step.when == "period_end":
            return Preview(step, now, 0, 0, (), None)
        invoice = await self._subscriptions.preview(
            await self._item(step), customer=await get_customer(self._database, wanted.account_id), at=now
        )
        allowance = None if step.trialing else allowance_change(step.old, step.new, period=step.period, at=now)
        lines = tuple((line.description, line.amount_minor) for line in invoice.lines)
        return Preview(step, now, invoice.due_minor, invoice.tax_minor, lines, allowance)

    async def change(self, wanted: Wanted, write: Write, *, at: datetime | None) -> Mapping[str, Any]:
        """More at once, less at the period's end; raises `CardDeclinedError` with everything as it was."""

        async def work(key: str) -> Mapping[str, Any]:
            step = await self._step(wanted)
            item = await self._item(step)
            if step.when == "now":
                found = await self._subscriptions.change_now(item, at=self._checked(at, step), key=key)
            else:
                found = await self._subscriptions.change_later(item, _kept(step), key=key)
            await self._apply(found)
            return {"subscription_id": found.id, "when": step.when}

        return await write_once(self._database, write, work)

    async def cancel(self, write: Write, *, at_period_end: bool) -> Mapping[str, Any]:
        """End the subscription; what was paid stays until the period's end, or what is left of it."""
        when: When = "period_end" if at_period_end else "now"

        async def work(key: str) -> Mapping[str, Any]:
            row = await self._living(write.account_id, when=when)
            if row.is_local:
                async with self._database.transaction() as session:
                    locked = await payments.lock_subscription(session, row.id)
                    await self._pay_per_use.stop(session, locked, at_period_end=at_period_end)
            elif at_period_end:
                await self._apply(await self._subscriptions.cancel_at_period_end(row.id, key=key))
            else:
                # What was used and is not told yet would have no invoice.
                await self._metering.tell(write.account_id)
                await self._apply(await self._subscriptions.cancel_now(row.id, key=key))
            return {"subscription_id": row.id, "when": when}

        return await write_once(self._database, write, work)

    async def resume(self, write: Write) -> Mapping[str, Any]:
        """Take back an ending or a smaller plan that waits for the period's end."""

        async def work(key: str) -> Mapping[str, Any]:
            row = await self._living(write.account_id)
            if not row.cancel_at_period_end and row.pending_plan_id is None:
                raise AlreadyChangedError(
                    "There is nothing to take back: the subscription goes on as it is.",
                    answer={"subscription_id": row.id},
                )
            if row.is_local:
                async with self._database.transaction() as session:
                    locked = await payments.lock_subscription(session, row.id)
                    await self._pay_per_use.resume(session, locked)
            else:
                async with self._database.reading() as session:
                    now_held = await _held(session, row)
                item = await self._item_of(row.id, now_held)
                await self._apply(await self._subscriptions.keep(item, key=key))
            return {"subscription_id": row.id}

        return await write_once(self._database, write, work)

    async def portal(self, write: Write, *, return_url: str) -> Mapping[str, Any]:
        """Stripe's own pages: cards, invoices, address, tax ids."""

        async def work(key: str) -> Mapping[str, Any]:
            customer = await get_customer(self._database, write.account_id)
            async with self._database.reading() as session:
                configuration = await catalogue.find_named(session, PORTAL)
            if configuration is None:
                configuration = await ensure_portal(self._database, self._stripe.catalogue)
            url = await self._subscriptions.open_portal(
                customer, return_url=return_url, configuration=configuration, key=key
            )
            return {"url": url}

        return await write_once(self._database, write, work)

    async def _living(self, account_id: UUID, *, when: When = "now") -> Any:
        async with self._database.reading() as session:
            row = await payments.find_current_subscription(session, account_id)
        if row is None:
            raise NoSubscriptionError("This account has no subscription.")
        if payments.has_ended(row):
            answer = {"subscription_id": row.id, "when": when}
            raise AlreadyEndedError("This account has no subscription: the last one has ended.", answer=answer)
        return row

    async def _step(self, wanted: Wanted) -> Step:
        row = await self._living(wanted.account_id)
        if row.is_local:
            raise ChangeRefusedError("An account that pays per use cancels that, then subscribes.")
        if row.status not in _CHANGEABLE:
            raise ChangeRefusedError(f"The subscription is {row.status}: what is due has to be paid first.")
        async with self._database.reading() as session:
            old = await _held(session, row)
            new = await _new(session, wanted, old, now=self._clock.now())
        if (new.terms.offer_id, new.quantity) == (old.terms.offer_id, old.quantity):
            has = {"subscription_id": row.id, "when": "now"}
            raise AlreadyChangedError("That is what the account has already.", field="plan", answer=has)
        when = when_of(old, new)
        if when is None:
            raise ChangeRefusedError(
                "A yearly plan that is paid runs to its end; cancel it at the period's end instead.", field="plan"
            )
        period = Span(row.current_period_start, row.current_period_end)
        return Step(row.id, old, new, period, when, trialing=row.status == "trialing")

    async def _item(self, step: Step) -> NewItem:
        return await self._item_of(step.subscription_id, step.new)

    async def _item_of(self, subscription_id: str, bought: Purchase) -> NewItem:
        found = await self._stripe.get_subscription(subscription_id)
        price = await ensure_price(self._database, self._stripe, bought.terms, currency=bought.currency)
        return NewItem(subscription_id, found.item_id, price, bought.quantity)

    def _checked(self, at: datetime | None, step: Step) -> datetime | None:
        """The instant of a preview counts for a while only: later its price would be another one."""
        now = self._clock.now()
        if at is None or step.trialing:
            return None
        if not step.period.starts_at <= at <= now or (now - at).total_seconds() > _PREVIEW_LASTS_S:
            raise ChangeRefusedError("The preview is too old: ask for a new one.", field="previewed_at")
        return at

    async def _apply(self, changed: Subscription) -> None:
        """Bring our row to what Stripe has; while a webhook's worker has the customer, it does that itself."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            lease = await inbox.take_lease(session, changed.customer, now=now)
        if lease is None:
            return
        try:
            found = await self._stripe.get_subscription(changed.id)
            async with self._database.transaction() as session:
                await inbox.check_lease(session, lease)
                await apply_subscription(session, found, now=self._clock.now())
        finally:
            async with self._database.transaction() as session:
                await inbox.release_lease(session, lease, now=self._clock.now())


_PREVIEW_LASTS_S: Final = 900


def _kept(step: Step) -> Kept:
    return Kept(step.old.terms.offer_id, step.old.terms.version, step.old.quantity, step.period.ends_at)


async def _held(session: AsyncSession, row: Any) -> Purchase:
    """What the account has paid for."""
    terms = await catalogue.find_terms(session, row.plan_id, row.plan_version)
    assert terms is not None
    return Purchase(terms, row.currency, row.quantity)


async def _new(session: AsyncSession, wanted: Wanted, old: Purchase, *, now: datetime) -> Purchase:
    """What the account wants: its own plan at the version that it has, another one at today's terms."""
    terms = old.terms
    if wanted.plan_id is not None and wanted.plan_id != terms.offer_id:
        found = await catalogue.find_holding(session, wanted.plan_id, now)
        if found is None:
            raise UnknownOfferError("There is no such offer; see GET /billing/offers.", field="plan")
        terms, on_sale = found
        if not on_sale or not terms.is_plan or terms.price_minor == 0:
            raise OfferNotSoldError("This offer is no plan that can be bought; see GET /billing/offers.", field="plan")
    if old.currency not in terms.prices:
        raise CurrencyNotSoldError(f"This plan has no price in {old.currency}.", field="plan")
    return Purchase(terms, old.currency, checked_seats(terms.plan, wanted.seats, otherwise=old.quantity))
