"""All SQL about overage: facts heard, rows to report, items that bill them, periods that were compared."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.overage import METER, Owed
from billing.tables import StripeCustomerRow, SubscriptionRow
from billing.tables.overage import MeterCheckRow, MeteredItemRow, OverageCarryRow, OverageFactRow, OverageRow

_OPEN = ("pending", "sent")


class Metered(NamedTuple):
    """A subscription whose use is billed by the meter."""

    subscription_id: str
    account_id: UUID
    customer: str
    since: datetime
    period_start: datetime
    period_end: datetime
    currency: str


async def insert_fact(session: AsyncSession, **values: Any) -> bool:
    """False when this fact is known."""
    inserted = await session.execute(
        insert(OverageFactRow).values(**values).on_conflict_do_nothing().returning(OverageFactRow.sequence)
    )
    return inserted.first() is not None


async def lock_carry(session: AsyncSession, account_id: UUID) -> int:
    """What is carried; the account's rows are ours until this transaction ends."""
    await session.execute(insert(OverageCarryRow).values(account_id=account_id, carry_nano=0).on_conflict_do_nothing())
    carried = await session.scalar(
        select(OverageCarryRow.carry_nano).where(OverageCarryRow.account_id == account_id).with_for_update()
    )
    return int(carried or 0)


async def save_carry(session: AsyncSession, account_id: UUID, carry_nano: int) -> None:
    await session.execute(
        update(OverageCarryRow).where(OverageCarryRow.account_id == account_id).values(carry_nano=carry_nano)
    )


async def find_unsent(session: AsyncSession, account_id: UUID, hour: datetime) -> int | None:
    """The sequence of the hour's row that no try has begun for; it may still grow."""
    return await session.scalar(
        select(OverageRow.sequence)
        .where(
            OverageRow.account_id == account_id,
            OverageRow.meter == METER,
            OverageRow.hour == hour,
            OverageRow.state == "pending",
            OverageRow.attempts == 0,
        )
        .with_for_update()
    )


async def add_units(session: AsyncSession, account_id: UUID, hour: datetime, *, sequence: int, units: int) -> None:
    await session.execute(
        update(OverageRow).where(_key(account_id, hour, sequence)).values(units=OverageRow.units + units)
    )


async def next_sequence(session: AsyncSession, account_id: UUID, hour: datetime) -> int:
    newest = await session.scalar(
        select(func.max(OverageRow.sequence)).where(
            OverageRow.account_id == account_id, OverageRow.meter == METER, OverageRow.hour == hour
        )
    )
    return int(newest or 0) + 1


async def insert_row(session: AsyncSession, **values: Any) -> None:
    await session.execute(insert(OverageRow).values(meter=METER, state="pending", attempts=0, **values))


async def list_owing(session: AsyncSession, now: datetime, *, limit: int) -> list[UUID]:
    """Accounts with something to report or to find out."""
    found = await session.scalars(
        select(OverageRow.account_id)
        .where(OverageRow.state.in_(_OPEN), OverageRow.due_at <= now)
        .group_by(OverageRow.account_id)
        .order_by(func.min(OverageRow.due_at))
        .limit(limit)
    )
    return list(found)


async def list_owed(session: AsyncSession, account_id: UUID, now: datetime) -> list[Owed]:
    rows = await session.scalars(
        select(OverageRow)
        .where(OverageRow.account_id == account_id, OverageRow.state.in_(_OPEN), OverageRow.due_at <= now)
        .order_by(OverageRow.hour, OverageRow.sequence)
    )
    return [_owed(row) for row in rows]


async def list_in_window(session: AsyncSession, account_id: UUID, start: datetime, end: datetime) -> list[Owed]:
    """Rows of every state that are dated in [start, end)."""
    rows = await session.scalars(
        select(OverageRow)
        .where(OverageRow.account_id == account_id, OverageRow.dated_at >= start, OverageRow.dated_at < end)
        .order_by(OverageRow.dated_at, OverageRow.identifier)
    )
    return [_owed(row) for row in rows]


async def update_row(session: AsyncSession, owed: Owed, **values: Any) -> None:
    await session.execute(update(OverageRow).where(_key(owed.account_id, owed.hour, owed.sequence)).values(**values))


async def reject_identifiers(session: AsyncSession, reasons: Sequence[tuple[str, str]]) -> int:
    """Rows that Stripe says it did not count, whatever we thought of them; how many."""
    rejected = 0
    for identifier, reason in reasons:
        done = await session.scalars(
            update(OverageRow)
            .where(OverageRow.identifier == identifier)
            .values(state="rejected", reason=reason)
            .returning(OverageRow.sequence)
        )
        rejected += len(done.all())
    return rejected


async def list_by_state(session: AsyncSession, state: str, *, limit: int) -> list[tuple[Owed, str | None]]:
    rows = await session.scalars(
        select(OverageRow).where(OverageRow.state == state).order_by(OverageRow.hour, OverageRow.sequence).limit(limit)
    )
    return [(_owed(row), row.reason) for row in rows]


async def find_metered(session: AsyncSession, account_id: UUID) -> Metered | None:
    """The account's newest subscription with an item that bills the meter."""
    found = (await session.execute(_metered().where(SubscriptionRow.account_id == account_id).limit(1))).first()
    return Metered(*found) if found else None


async def list_metered(session: AsyncSession) -> list[Metered]:
    return [Metered(*row) for row in (await session.execute(_metered())).all()]


async def list_unmetered(session: AsyncSession, *, limit: int) -> list[tuple[str, UUID]]:
    """Living subscriptions of plans whose overage the meter collects, without an item for it yet."""
    rows = await session.execute(
        text(
            """
            SELECT subscription.id, subscription.account_id FROM subscription
            JOIN offer_version ON offer_id = plan_id AND offer_version.version = plan_version
            WHERE status IN ('active', 'trialing', 'past_due') AND subscription.id LIKE 'sub\\_%'
              AND spec #>> '{terms,overage,collect}' = 'meter'
              AND NOT EXISTS (SELECT FROM metered_item WHERE subscription_id = subscription.id)
            LIMIT :limit
            """
        ),
        {"limit": limit},
    )
    return [(row.id, row.account_id) for row in rows]


async def insert_item(session: AsyncSession, **values: Any) -> None:
    await session.execute(insert(MeteredItemRow).values(**values).on_conflict_do_nothing())


async def is_checked(session: AsyncSession, subscription_id: str, period_end: datetime) -> bool:
    found = await session.scalar(
        select(exists().where(MeterCheckRow.subscription_id == subscription_id, MeterCheckRow.period_end == period_end))
    )
    return bool(found)


async def save_check(session: AsyncSession, **values: Any) -> None:
    statement = insert(MeterCheckRow).values(**values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["subscription_id", "period_end"],
            set_={name: values[name] for name in ("reported_units", "counted_units", "checked_at")},
        )
    )


async def sum_facts(session: AsyncSession, account_id: UUID) -> int:
    """Everything that the ledger has said of an account."""
    whole = await session.scalar(
        select(func.coalesce(func.sum(OverageFactRow.amount_nano), 0)).where(OverageFactRow.account_id == account_id)
    )
    return int(whole or 0)


async def sum_units(session: AsyncSession, account_id: UUID) -> dict[str, int]:
    """All units of an account by state."""
    rows = await session.execute(
        select(OverageRow.state, func.sum(OverageRow.units))
        .where(OverageRow.account_id == account_id)
        .group_by(OverageRow.state)
    )
    return {state: int(units) for state, units in rows}


async def find_carry(session: AsyncSession, account_id: UUID) -> int:
    carried = await session.scalar(select(OverageCarryRow.carry_nano).where(OverageCarryRow.account_id == account_id))
    return int(carried or 0)


async def list_accounts(session: AsyncSession) -> list[tuple[UUID, str | None]]:
    """Accounts that ever had overage, with their customers in Stripe."""
    rows = await session.execute(
        select(OverageCarryRow.account_id, StripeCustomerRow.id)
        .join(StripeCustomerRow, StripeCustomerRow.account_id == OverageCarryRow.account_id, isouter=True)
        .order_by(OverageCarryRow.account_id)
    )
    return [(row[0], row[1]) for row in rows]


async def list_gaps(session: AsyncSession, account_id: UUID) -> list[str]:
    """Hours of which an earlier sequence was never heard: what the ledger said and did not arrive."""
    rows = await session.execute(
        select(OverageFactRow.plan_id, OverageFactRow.plan_version, OverageFactRow.hour)
        .where(OverageFactRow.account_id == account_id)
        .group_by(OverageFactRow.plan_id, OverageFactRow.plan_version, OverageFactRow.hour)
        .having(func.max(OverageFactRow.sequence) != func.count())
    )
    return [f"{plan} v{version} {hour:%Y-%m-%dT%H}" for plan, version, hour in rows]


def _metered() -> Any:
    return (
        select(
            SubscriptionRow.id,
            SubscriptionRow.account_id,
            StripeCustomerRow.id,
            MeteredItemRow.since,
            SubscriptionRow.current_period_start,
            SubscriptionRow.current_period_end,
            SubscriptionRow.currency,
        )
        .join(MeteredItemRow, MeteredItemRow.subscription_id == SubscriptionRow.id)
        .join(StripeCustomerRow, StripeCustomerRow.account_id == SubscriptionRow.account_id)
        .where(SubscriptionRow.status.not_in(("canceled", "incomplete_expired")))
        .order_by(SubscriptionRow.current_period_end.desc(), SubscriptionRow.id)
    )


def _key(account_id: UUID, hour: datetime, sequence: int) -> Any:
    return and_(
        OverageRow.account_id == account_id,
        OverageRow.meter == METER,
        OverageRow.hour == hour,
        OverageRow.sequence == sequence,
    )


def _owed(row: OverageRow) -> Owed:
    return Owed(
        account_id=row.account_id,
        hour=row.hour,
        sequence=row.sequence,
        units=row.units,
        identifier=row.identifier,
        state=row.state,  # type: ignore[arg-type]  # the table's own check
        dated_at=row.dated_at,
        first_sent_at=row.first_sent_at,
        attempts=row.attempts,
    )
