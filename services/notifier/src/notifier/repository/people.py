"""What people chose, how many mails they got, and which addresses take none."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import case, delete, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from notifier.domain.choosing import Cause, MailChoice
from notifier.domain.schedules import Schedule
from notifier.tables import MailCountRow, PreferenceRow, ReadAllRow, ReadRow, ScheduleRow, SuppressedRow


async def list_preferences(session: AsyncSession, *, account_id: UUID, user_id: UUID) -> dict[str, MailChoice]:
    """A person's choices for one account, by kind."""
    rows = await session.execute(
        select(PreferenceRow.kind, PreferenceRow.mail).where(
            PreferenceRow.account_id == account_id, PreferenceRow.user_id == user_id
        )
    )
    return {row[0]: row[1] for row in rows}


async def list_choices(
    session: AsyncSession, wanted: Collection[tuple[UUID, str]]
) -> dict[tuple[UUID, str], dict[UUID, MailChoice]]:
    """What everybody chose for kinds of accounts' notices."""
    rows = await session.scalars(
        select(PreferenceRow).where(tuple_(PreferenceRow.account_id, PreferenceRow.kind).in_(wanted))
    )
    found: dict[tuple[UUID, str], dict[UUID, MailChoice]] = {}
    for row in rows:
        found.setdefault((row.account_id, row.kind), {})[row.user_id] = row.mail
    return found


async def upsert_preference(
    session: AsyncSession, *, account_id: UUID, user_id: UUID, kind: str, mail: MailChoice
) -> None:
    keys = {"account_id": account_id, "user_id": user_id, "kind": kind}
    await session.execute(
        insert(PreferenceRow)
        .values(**keys, mail=mail)
        .on_conflict_do_update(index_elements=list(keys), set_={"mail": mail})
    )


async def end_digest(session: AsyncSession, *, account_id: UUID, user_id: UUID) -> None:
    """What went into the digest is off."""
    await session.execute(
        update(PreferenceRow)
        .where(PreferenceRow.account_id == account_id, PreferenceRow.user_id == user_id, PreferenceRow.mail == "digest")
        .values(mail="off")
    )


async def list_schedules(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, Schedule]:
    rows = await session.scalars(select(ScheduleRow).where(ScheduleRow.user_id.in_(user_ids)))
    return {row.user_id: Schedule(row.time_zone, row.quiet_from, row.quiet_until, row.digest_at) for row in rows}


async def upsert_schedule(session: AsyncSession, user_id: UUID, schedule: Schedule) -> None:
    values = {
        "time_zone": schedule.time_zone,
        "quiet_from": schedule.quiet_from,
        "quiet_until": schedule.quiet_until,
        "digest_at": schedule.digest_at,
    }
    await session.execute(
        insert(ScheduleRow)
        .values(user_id=user_id, **values)
        .on_conflict_do_update(index_elements=["user_id"], set_=values)
    )


async def list_mail_counts(session: AsyncSession, user_ids: Collection[UUID], *, hour: datetime) -> dict[UUID, int]:
    """How many mails these people got in this hour."""
    rows = await session.execute(
        select(MailCountRow.user_id, MailCountRow.mails).where(
            MailCountRow.user_id.in_(user_ids), MailCountRow.hour == hour
        )
    )
    return {row[0]: row[1] for row in rows}


async def count_mails(session: AsyncSession, user_ids: Collection[UUID], *, hour: datetime) -> None:
    """One more mail for each of these people; in order of id, so that two transactions cannot wait for each other."""
    if not user_ids:
        return
    counted = insert(MailCountRow).values([{"user_id": one, "hour": hour, "mails": 1} for one in sorted(user_ids)])
    same_hour = MailCountRow.hour == counted.excluded.hour
    await session.execute(
        counted.on_conflict_do_update(
            index_elements=["user_id"],
            set_={"hour": counted.excluded.hour, "mails": case((same_hour, MailCountRow.mails + 1), else_=1)},
        )
    )


async def list_suppressed(session: AsyncSession, hashes: Collection[bytes], *, now: datetime) -> dict[bytes, Cause]:
    """Which of these addresses take no mail now, and why."""
    rows = await session.execute(
        select(SuppressedRow.address_hash, SuppressedRow.cause).where(
            SuppressedRow.address_hash.in_(hashes), or_(SuppressedRow.until.is_(None), SuppressedRow.until > now)
        )
    )
    return {row[0]: row[1] for row in rows}


async def upsert_suppressed(
    session: AsyncSession, hashes: Collection[bytes], *, cause: Cause, now: datetime, until: datetime | None
) -> None:
    """A bounce stands over a complaint: it says more."""
    if not hashes:
        return
    values = [{"address_hash": one, "cause": cause, "since": now, "until": until} for one in sorted(set(hashes))]
    found = insert(SuppressedRow).values(values)
    keep = None if cause == "bounce" else SuppressedRow.cause != "bounce"
    await session.execute(
        found.on_conflict_do_update(
            index_elements=["address_hash"],
            set_={"cause": found.excluded.cause, "since": found.excluded.since, "until": found.excluded.until},
            where=keep,
        )
    )


async def delete_suppressed(session: AsyncSession, address_hash: bytes) -> bool:
    """False when the address was not suppressed."""
    deleted = await session.execute(
        delete(SuppressedRow).where(SuppressedRow.address_hash == address_hash).returning(SuppressedRow.cause)
    )
    return deleted.first() is not None


async def delete_person(session: AsyncSession, user_id: UUID) -> None:
    """Nothing is left of what this person chose or read."""
    for table in (PreferenceRow, ScheduleRow, MailCountRow, ReadRow, ReadAllRow):
        await session.execute(delete(table).where(table.user_id == user_id))
