"""Publishing what is for sale: a version for each change, never an edit."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.catalogue import Catalogue, OfferSpec, PlanSpec, kind_of, spec_digest
from billing.domain.offers import Terms
from billing.domain.terms import published_limit
from billing.repository import catalogue as repository
from contracts.billing import Allowance, PlanPublished
from contracts.ledger import Limits
from kit import outbox
from kit.ids import fact_id

NOTICE: Final = timedelta(minutes=5)
"""How long a change is known before it holds, so that every gateway has it in time (money.md 19)."""


async def publish_catalogue(session: AsyncSession, catalogue: Catalogue, *, now: datetime) -> list[Terms]:
    """Make a version of every offer that is new or has changed; what an unchanged file publishes is nothing."""
    await repository.lock_publishing(session)
    offers = catalogue.offers()
    await repository.set_on_sale(session, [(offer_id, kind_of(spec)) for offer_id, spec in offers.items()])
    published: list[Terms] = []
    for offer_id, spec in offers.items():
        terms = await _publish_offer(session, offer_id, spec, currency=catalogue.currency, now=now)
        if terms is not None:
            published.append(terms)
    return published


async def _publish_offer(
    session: AsyncSession, offer_id: str, spec: OfferSpec, *, currency: str, now: datetime
) -> Terms | None:
    digest = spec_digest(spec, currency)
    newest = await repository.find_newest(session, offer_id)
    if newest is not None and newest[0].digest == digest:
        return None
    version, effective_at = (newest[0].version + 1, now + NOTICE) if newest else (1, now)
    terms = Terms(offer_id, version, digest, currency, spec)
    await repository.insert_version(session, terms, effective_at=effective_at, now=now)
    if terms.is_plan:
        await outbox.add(session, plan_published(terms, effective_at=effective_at))
    return terms


async def publish_again(session: AsyncSession) -> int:
    """State every plan version once more, with the same event ids, for a Kafka that has lost them."""
    versions = await repository.list_plan_versions(session)
    await outbox.add(session, *(plan_published(terms, effective_at=at) for terms, at in versions))
    return len(versions)


def plan_published(terms: Terms, *, effective_at: datetime) -> PlanPublished:
    plan = terms.spec
    assert isinstance(plan, PlanSpec)
    return PlanPublished(
        id=fact_id(PlanPublished.type, terms.offer_id, terms.version),
        time=effective_at,
        plan_id=terms.offer_id,
        version=terms.version,
        name=plan.name,
        default=plan.default,
        price_minor=plan.price_minor,
        currency=terms.currency,
        interval=plan.interval,
        allowances=tuple(
            Allowance(
                rule=allowance.rule,
                unit=allowance.unit,
                amount=allowance.amount,
                valid_days=allowance.valid_days,
                priority=allowance.priority,
                roll_over=allowance.roll_over,
                roll_over_cap=allowance.roll_over_cap,
            )
            for allowance in plan.allowances
        ),
        models=plan.models,
        limits=Limits(**dict(plan.limits)),
        admission=plan.admission,
        markup_bps=plan.markup_bps,
        effective_at=effective_at,
        terms=plan.terms.published(),
        soft_limits=tuple(published_limit(limit) for limit in plan.soft_limits),
        renewal=plan.renewal,
        kind=plan.kind,
        trial_days=plan.trial_days,
        seats=plan.seats,
    )


async def list_offers(session: AsyncSession, *, now: datetime) -> list[Terms]:
    """What can be had at this moment."""
    return await repository.list_on_sale(session, now)
