"""Offers, their versions, and their prices in Stripe."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.catalogue import kind_of, parse_spec, spec_values
from billing.domain.offers import Terms
from billing.tables import OfferRow, OfferVersionRow, StripeObjectRow, StripePriceRow

_PUBLISHING_LOCK = 7_310


async def lock_publishing(session: AsyncSession) -> None:
    """One publisher at a time, until this transaction ends."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PUBLISHING_LOCK})


async def find_newest(session: AsyncSession, offer_id: str) -> tuple[Terms, datetime] | None:
    """The newest version, whether it holds already or later, and from when."""
    row = await session.scalar(
        select(OfferVersionRow)
        .where(OfferVersionRow.offer_id == offer_id)
        .order_by(OfferVersionRow.version.desc())
        .limit(1)
    )
    return (_terms(row), row.effective_at) if row else None


async def insert_version(session: AsyncSession, terms: Terms, *, effective_at: datetime, now: datetime) -> None:
    await session.execute(
        insert(OfferVersionRow).values(
            offer_id=terms.offer_id,
            version=terms.version,
            kind=kind_of(terms.spec),
            digest=terms.digest,
            currency=terms.currency,
            spec=spec_values(terms.spec),
            effective_at=effective_at,
            published_at=now,
        )
    )


async def set_on_sale(session: AsyncSession, offers: Sequence[tuple[str, str]]) -> None:
    """Exactly these offers `(id, kind)` are on sale, in this order."""
    await session.execute(update(OfferRow).values(on_sale=False))
    statement = insert(OfferRow)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={name: statement.excluded[name] for name in ("kind", "on_sale", "position")},
        ),
        [
            {"id": offer_id, "kind": kind, "on_sale": True, "position": position}
            for position, (offer_id, kind) in enumerate(offers)
        ],
    )


async def list_on_sale(session: AsyncSession, now: datetime) -> list[Terms]:
    """What holds now of every offer on sale."""
    rows = await session.scalars(
        _holding(now).join(OfferRow, OfferRow.id == OfferVersionRow.offer_id).where(OfferRow.on_sale)
    )
    found = [_terms(row) for row in rows]
    places = {row.id: row.position for row in await session.execute(select(OfferRow.id, OfferRow.position))}
    return sorted(found, key=lambda terms: places[terms.offer_id])


async def find_holding(session: AsyncSession, offer_id: str, now: datetime) -> tuple[Terms, bool] | None:
    """What holds now of one offer, and whether it is on sale."""
    row = (
        await session.execute(
            _holding(now)
            .add_columns(OfferRow.on_sale)
            .join(OfferRow, OfferRow.id == OfferVersionRow.offer_id)
            .where(OfferRow.id == offer_id)
        )
    ).first()
    return (_terms(row[0]), bool(row[1])) if row else None


async def find_terms(session: AsyncSession, offer_id: str, version: int) -> Terms | None:
    row = await session.get(OfferVersionRow, (offer_id, version))
    return _terms(row) if row else None


async def list_plan_versions(session: AsyncSession) -> list[tuple[Terms, datetime]]:
    rows = await session.scalars(
        select(OfferVersionRow)
        .where(OfferVersionRow.kind == "plan")
        .order_by(OfferVersionRow.offer_id, OfferVersionRow.version)
    )
    return [(_terms(row), row.effective_at) for row in rows]


async def find_price(session: AsyncSession, terms: Terms, currency: str) -> str | None:
    """The id in Stripe of a version's price."""
    found: str | None = await session.scalar(
        select(StripePriceRow.id).where(
            StripePriceRow.offer_id == terms.offer_id,
            StripePriceRow.version == terms.version,
            StripePriceRow.currency == _stored(terms, currency),
        )
    )
    return found


async def insert_price(session: AsyncSession, price_id: str, *, product_id: str, terms: Terms, currency: str) -> None:
    """A second checkout may have made the same price at the same time: Stripe gave both the same id."""
    await session.execute(
        insert(StripePriceRow)
        .values(
            id=price_id,
            product_id=product_id,
            offer_id=terms.offer_id,
            version=terms.version,
            currency=_stored(terms, currency),
        )
        .on_conflict_do_nothing()
    )


async def list_prices(session: AsyncSession) -> list[tuple[str, Terms, str]]:
    """Every price that we made: its id, what it stands for, and its currency."""
    rows = await session.execute(
        select(StripePriceRow, OfferVersionRow)
        .join(
            OfferVersionRow,
            (StripePriceRow.offer_id == OfferVersionRow.offer_id) & (StripePriceRow.version == OfferVersionRow.version),
        )
        .order_by(StripePriceRow.offer_id, StripePriceRow.version, StripePriceRow.currency)
    )
    found = [(price.id, _terms(version), price.currency) for price, version in rows]
    return [(price_id, terms, currency or terms.currency) for price_id, terms, currency in found]


async def find_named(session: AsyncSession, name: str) -> str | None:
    """The id in Stripe of something of which there is one."""
    found: str | None = await session.scalar(select(StripeObjectRow.id).where(StripeObjectRow.name == name))
    return found


async def save_named(session: AsyncSession, name: str, object_id: str) -> None:
    await session.execute(
        insert(StripeObjectRow)
        .values(name=name, id=object_id)
        .on_conflict_do_update(index_elements=["name"], set_={"id": object_id})
    )


def _stored(terms: Terms, currency: str) -> str:
    return "" if currency == terms.currency else currency


async def find_offer_of_price(session: AsyncSession, price_id: str) -> tuple[Terms, str] | None:
    """What a price in Stripe stands for, and its currency."""
    found = (
        await session.execute(
            select(OfferVersionRow, StripePriceRow.currency)
            .join(
                StripePriceRow,
                (StripePriceRow.offer_id == OfferVersionRow.offer_id)
                & (StripePriceRow.version == OfferVersionRow.version),
            )
            .where(StripePriceRow.id == price_id)
        )
    ).first()
    if found is None:
        return None
    terms = _terms(found[0])
    return terms, found[1] or terms.currency


def _holding(now: datetime) -> Select[OfferVersionRow]:
    newest = (
        select(OfferVersionRow.offer_id, func.max(OfferVersionRow.version).label("version"))
        .where(OfferVersionRow.effective_at <= now)
        .group_by(OfferVersionRow.offer_id)
        .subquery()
    )
    return select(OfferVersionRow).join(
        newest,
        (newest.c.offer_id == OfferVersionRow.offer_id) & (newest.c.version == OfferVersionRow.version),
    )


def _terms(row: OfferVersionRow) -> Terms:
    return Terms(row.offer_id, row.version, row.digest, row.currency, parse_spec(row.kind, row.spec))
