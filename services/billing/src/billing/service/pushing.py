"""What the catalogue changes in Stripe: shown first, then done; a price that somebody has is never touched."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.adapters.stripe_api import StripeApi
from billing.adapters.stripe_subscriptions import NewItem, StripeSubscriptions
from billing.domain.catalogue import Catalogue, spec_digest
from billing.domain.offers import Purchase, Terms
from billing.domain.overage import METER, UNIT_PRICE_MINOR, metered_key, metered_prices
from billing.domain.states import Kept
from billing.errors import UnknownOfferError
from billing.repository import catalogue as repository
from billing.repository import payments
from billing.service.catalogue import publish_catalogue
from billing.service.customers import ensure_price
from billing.service.portal import DIGEST, ensure_portal
from kit.clock import Clock
from kit.database import Database

Action = Literal[
    "publish",
    "create price",
    "retire price",
    "keep price",
    "create meter",
    "create metered price",
    "create portal configuration",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that would be done, and to what."""

    action: Action
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Sold:
    """What our books say: the terms of the file, the prices that were made, and who has which version."""

    terms: tuple[Terms, ...]
    published: frozenset[tuple[str, int]]
    prices: tuple[tuple[str, Terms, str], ...]
    living: Mapping[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Move:
    """A subscription that would come to another version at the end of its period, and what it pays before and after."""

    account_id: UUID
    subscription_id: str
    old: Purchase
    new: Purchase
    at: datetime


class Pusher:
    """Brings Stripe to the catalogue; what is done already is not done again."""

    def __init__(self, database: Database, stripe: StripeApi, *, clock: Clock) -> None:
        self._database = database
        self._stripe = stripe
        self._subscriptions = StripeSubscriptions(stripe.client)
        self._clock = clock

    async def diff(self, catalogue: Catalogue) -> list[Step]:
        """What `push` would do."""
        async with self._database.reading() as session:
            sold = await _sold(session, catalogue)
        wanted = {terms.lookup_key(currency): (terms, currency) for terms in sold.terms for currency in terms.prices}
        made = {terms.lookup_key(currency): (terms, currency) for _, terms, currency in sold.prices}
        found = await self._stripe.catalogue.find_prices(sorted({*wanted, *made}))
        steps = [
            Step("publish", f"{terms.offer_id} v{terms.version}")
            for terms in sold.terms
            if (terms.offer_id, terms.version) not in sold.published
        ]
        steps += [
            Step("create price", key, f"{terms.prices[currency] / 100:.2f} {currency}")
            for key, (terms, currency) in wanted.items()
            if key not in found
        ]
        steps += [
            _left(key, terms, sold.living) for key, (terms, _) in made.items() if key not in wanted and found.get(key)
        ]
        steps += await self._metered_steps(sold)
        if await self._stripe.catalogue.find_portal(DIGEST) is None:
            steps.append(Step("create portal configuration", DIGEST))
        return steps

    async def _metered_steps(self, sold: Sold) -> list[Step]:
        """What bills use past a plan: one meter, and a price of it for each currency and interval of such plans."""
        wanted = metered_prices(sold.terms)
        if not wanted:
            return []
        steps = [] if await self._stripe.meters.has_meter() else [Step("create meter", METER)]
        keys = {metered_key(currency, interval): currency for currency, interval in wanted}
        found = await self._stripe.catalogue.find_prices(sorted(keys))
        return steps + [
            Step("create metered price", key, f"{UNIT_PRICE_MINOR} of a cent a unit, {currency}")
            for key, currency in keys.items()
            if key not in found
        ]

    async def push(self, catalogue: Catalogue) -> list[Step]:
        """Do it: publish, make what is missing, retire what nobody has and nobody can buy any more."""
        steps = await self.diff(catalogue)
        async with self._database.transaction() as session:
            await publish_catalogue(session, catalogue, now=self._clock.now())
        async with self._database.reading() as session:
            sold = await _sold(session, catalogue)
        for terms in sold.terms:
            for currency in terms.prices:
                await ensure_price(self._database, self._stripe, terms, currency=currency)
        retired = {step.name for step in steps if step.action == "retire price"}
        for price_id, terms, currency in sold.prices:
            if terms.lookup_key(currency) in retired:
                await self._stripe.catalogue.retire_price(price_id)
        for currency, interval in metered_prices(sold.terms):
            await self._stripe.meters.ensure_price(currency=currency, interval=interval)
        await ensure_portal(self._database, self._stripe.catalogue)
        return steps

    async def moves(self, offer_id: str) -> list[Move]:
        """Who would come to the newest version of a plan; not who is leaving it, or about to have another."""
        async with self._database.reading() as session:
            newest = await repository.find_newest(session, offer_id)
            if newest is None or not newest[0].is_plan:
                raise UnknownOfferError("There is no such plan.", field="offer")
            terms = newest[0]
            rows = await payments.list_living_of_plan(session, offer_id)
            found = []
            for row in rows:
                old = await repository.find_terms(session, row.plan_id, row.plan_version)
                if old is None or old.version >= terms.version or row.currency not in terms.prices:
                    continue
                if row.cancel_at_period_end or row.pending_plan_id is not None:
                    continue
                before, after = Purchase(old, row.currency, row.quantity), Purchase(terms, row.currency, row.quantity)
                found.append(Move(row.account_id, row.id, before, after, row.current_period_end))
        return found

    async def move(self, one: Move) -> None:
        """From the next period on; the running one stays as it was paid."""
        price = await ensure_price(self._database, self._stripe, one.new.terms, currency=one.new.currency)
        item = (await self._stripe.get_subscription(one.subscription_id)).item_id
        wanted = NewItem(one.subscription_id, item, price, one.new.quantity)
        kept = Kept(one.old.terms.offer_id, one.old.terms.version, one.old.quantity, one.at)
        key = f"migrate-{one.subscription_id}-{one.new.terms.version}-{int(one.at.timestamp())}"
        await self._subscriptions.change_later(wanted, kept, key=key)


def _left(key: str, terms: Terms, living: Mapping[tuple[str, int], int]) -> Step:
    """A price that the file no longer sells: kept while somebody has it."""
    count = living.get((terms.offer_id, terms.version), 0)
    return Step("keep price", key, f"{count} subscriptions have it") if count else Step("retire price", key)


async def _sold(session: AsyncSession, catalogue: Catalogue) -> Sold:
    terms, published = [], set()
    for offer_id, spec in catalogue.offers().items():
        digest = spec_digest(spec, catalogue.currency)
        newest = await repository.find_newest(session, offer_id)
        if newest is not None and newest[0].digest == digest:
            terms.append(newest[0])
            published.add((offer_id, newest[0].version))
        else:
            terms.append(Terms(offer_id, newest[0].version + 1 if newest else 1, digest, catalogue.currency, spec))
    rows = await payments.list_living_of_plan(session, None)
    living = Counter((row.plan_id, row.plan_version) for row in rows)
    prices = await repository.list_prices(session)
    return Sold(tuple(terms), frozenset(published), tuple(prices), living)
