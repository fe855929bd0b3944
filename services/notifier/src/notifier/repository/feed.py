"""The feed: what an account was told, what a person was told, and what they have read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from notifier.domain.delivering import State
from notifier.domain.feeding import Reader, Told
from notifier.domain.kinds import KINDS, Audience
from notifier.tables import DeliveryRow, ReadAllRow, ReadRow

Position = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedQuery:
    """A page of a feed, newest first, or what came after a place, oldest first."""

    before: Position | None = None
    after: Position | None = None
    unread_only: bool = False
    limit: int = 50


async def list_feed(session: AsyncSession, reader: Reader, query: FeedQuery) -> Sequence[Told]:
    statement = _feed(reader)
    place = tuple_(DeliveryRow.created_at, DeliveryRow.id)
    if query.before is not None:
        statement = statement.where(place < query.before)
    if query.after is not None:
        statement = statement.where(place > query.after)
    if query.unread_only:
        statement = statement.where(_unread())
    columns = (DeliveryRow.created_at, DeliveryRow.id)
    order = columns if query.after is not None else tuple(one.desc() for one in columns)
    rows = await session.execute(statement.order_by(*order).limit(query.limit))
    return [_told(row[0], row[1]) for row in rows]


async def list_new(
    session: AsyncSession, since: datetime, *, kinds: Sequence[str]
) -> Sequence[tuple[Told, UUID | None, UUID | None]]:
    """What came into any feed since an instant, oldest first: the notice, its account, its user."""
    rows = await session.scalars(
        select(DeliveryRow)
        .where(DeliveryRow.created_at >= since, DeliveryRow.kind.in_(kinds), _is_notice())
        .order_by(DeliveryRow.created_at, DeliveryRow.id)
        .limit(1_000)
    )
    return [(_told(row, None), row.account_id, row.user_id) for row in rows]


async def count_unread(session: AsyncSession, reader: Reader) -> int:
    counted = _feed(reader).where(_unread()).subquery()
    return await session.scalar(select(func.count()).select_from(counted)) or 0


async def find_position(session: AsyncSession, reader: Reader, notice_id: UUID) -> Position | None:
    """The place of a notice in the reader's feed; None when it is not there."""
    statement = select(DeliveryRow.created_at, DeliveryRow.id).where(DeliveryRow.id == notice_id, _is_of(reader))
    row = (await session.execute(statement)).first()
    return (row[0], row[1]) if row else None


async def insert_read(session: AsyncSession, reader: Reader, notice_id: UUID, *, now: datetime) -> None:
    values = {"user_id": reader.user_id, "notice_id": notice_id, "read_at": now}
    await session.execute(insert(ReadRow).values(**values).on_conflict_do_nothing())


async def delete_old_reads(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete marks made before an instant: what they are on was made before them."""
    old = select(ReadRow.user_id, ReadRow.notice_id).where(ReadRow.read_at < before).limit(limit).cte("old")
    gone = await session.execute(
        delete(ReadRow)
        .where(ReadRow.user_id == old.c.user_id, ReadRow.notice_id == old.c.notice_id)
        .returning(ReadRow.notice_id)
    )
    return len(gone.all())


async def upsert_read_all(session: AsyncSession, reader: Reader, *, now: datetime) -> None:
    keys = {"user_id": reader.user_id, "account_id": reader.account_id}
    await session.execute(
        insert(ReadAllRow)
        .values(**keys, until=now, read_at=now)
        .on_conflict_do_update(index_elements=list(keys), set_={"until": now, "read_at": now})
    )


def _feed(reader: Reader) -> Select[DeliveryRow, datetime | None]:
    """The reader's notices with when they were read."""
    mark = and_(ReadRow.user_id == reader.user_id, ReadRow.notice_id == DeliveryRow.id)
    all_read = and_(
        ReadAllRow.user_id == reader.user_id,
        ReadAllRow.account_id == reader.account_id,
        ReadAllRow.until >= DeliveryRow.created_at,
    )
    read_at = func.coalesce(ReadRow.read_at, ReadAllRow.read_at)
    return select(DeliveryRow, read_at).outerjoin(ReadRow, mark).outerjoin(ReadAllRow, all_read).where(_is_of(reader))


def _unread() -> ColumnElement[bool]:
    return and_(ReadRow.read_at.is_(None), ReadAllRow.read_at.is_(None))


def _is_notice() -> ColumnElement[bool]:
    """A row that states a fact, and not one that brings it to a person later."""
    of_account = and_(
        DeliveryRow.audience == Audience.ACCOUNT, DeliveryRow.user_id.is_(None), DeliveryRow.target_id.is_(None)
    )
    return or_(of_account, and_(DeliveryRow.audience == Audience.MESSAGE, DeliveryRow.user_id.is_not(None)))


def _is_of(reader: Reader) -> ColumnElement[bool]:
    of_account = and_(
        DeliveryRow.account_id == reader.account_id,
        DeliveryRow.user_id.is_(None),
        DeliveryRow.target_id.is_(None),
        DeliveryRow.audience == Audience.ACCOUNT,
        DeliveryRow.kind.in_(reader.account_kinds),
    )
    of_person = and_(
        DeliveryRow.user_id == reader.user_id,
        DeliveryRow.audience == Audience.MESSAGE,
        DeliveryRow.kind.in_(reader.personal_kinds),
    )
    return or_(of_account, of_person)


def _told(row: DeliveryRow, read_at: datetime | None) -> Told:
    kind = KINDS[row.kind]
    return Told(
        id=row.id,
        kind=row.kind,
        priority=kind.priority,
        payload=row.payload,
        created_at=row.created_at,
        state=State(row.state),
        read_at=read_at,
    )
