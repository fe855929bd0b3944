from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from struct import Struct
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.money import Unit
from ledger import tables
from ledger.domain.grants import Grant, GrantSource
from ledger.repository.binary import stage_rows, update_from
from ledger.repository.driver import driver

_COLUMNS = tuple(field.name for field in fields(Grant) if field.name != "heir")
_SOURCES = {source.value: source for source in GrantSource}
_UNITS = {unit.value: unit for unit in Unit}
_NAMES = ", ".join(_COLUMNS)
_values_of = attrgetter(*_COLUMNS)
_MOVED = {
    "id": "uuid",
    "remaining": "bigint",
    "burnt": "bigint",
    "expired": "bigint",
    "rolled": "bigint",
    "is_withdrawn": "boolean",
}
"""What postings move."""
_STAGED, _UPDATE = update_from("moved_grant", table='"grant"', kinds=_MOVED)
_pack_moved = Struct(">hi16siqiqiqiqi?").pack


async def list_grants(
    session: AsyncSession, account_ids: Collection[UUID], *, alive_at: datetime, also: Sequence[UUID] = ()
) -> dict[UUID, list[Grant]]:
    """Per account, the grants with something left that had not expired at `alive_at`, and those that `also` names."""
    found: dict[UUID, list[Grant]] = {account_id: [] for account_id in account_ids}
    async with driver(session) as connection:
        rows = await connection.fetch(
            f"""
            SELECT {_NAMES} FROM "grant" WHERE account_id = ANY($1::uuid[])
                AND (remaining > 0 AND (expires_at IS NULL OR expires_at > $2) OR id = ANY($3::uuid[]))
            """,  # noqa: S608  # our own column names
            list(account_ids),
            alive_at,
            list(also),
        )
    for row in rows:
        grant = _grant(row)
        found[grant.account_id].append(grant)
    return found


async def list_burnable(
    session: AsyncSession, account_ids: Collection[UUID], *, alive_at: datetime, also: Sequence[UUID] = ()
) -> dict[UUID, list[Grant]]:
    """Per account, the grants with something left, those whose booked expiry a call of `alive_at` could book back,
    and those that `also` names.
    """
    found: dict[UUID, list[Grant]] = {account_id: [] for account_id in account_ids}
    async with driver(session) as connection:
        rows = await connection.fetch(
            f"""
            SELECT {_NAMES} FROM "grant" WHERE account_id = ANY($1::uuid[])
                AND (remaining > 0 OR (expired > 0 OR rolled > 0) AND expires_at > $2 OR id = ANY($3::uuid[]))
            """,  # noqa: S608  # our own column names
            list(account_ids),
            alive_at,
            list(also),
        )
    for row in rows:
        grant = _grant(row)
        found[grant.account_id].append(grant)
    return found


async def list_ending_after(session: AsyncSession, account_id: UUID, *, after: datetime) -> list[Grant]:
    """All grants of an account that end after an instant, used up or not; ask under the account's lock."""
    async with driver(session) as connection:
        rows = await connection.fetch(
            f'SELECT {_NAMES} FROM "grant" WHERE account_id = $1 AND expires_at > $2',  # noqa: S608
            account_id,
            after,
        )
    return [_grant(row) for row in rows]


async def list_named(session: AsyncSession, grant_ids: Collection[UUID]) -> list[Grant]:
    """Grants by their ids, used up or not; ask under their accounts' locks."""
    if not grant_ids:
        return []
    async with driver(session) as connection:
        rows = await connection.fetch(f'SELECT {_NAMES} FROM "grant" WHERE id = ANY($1::uuid[])', list(grant_ids))  # noqa: S608
    return [_grant(row) for row in rows]


async def has_grant(session: AsyncSession, account_id: UUID, *, rule: str, period: str) -> bool:
    """Whether the account got this rule's grant for this period; ask under the account's lock."""
    columns = tables.grant.c
    known = exists().where(
        columns.account_id == account_id,
        columns.rule == rule,
        columns.period == period,
        columns.is_withdrawn.is_(False),
    )
    return bool(await session.scalar(select(known)))


async def insert_grants(session: AsyncSession, grants: Sequence[Grant]) -> None:
    if not grants:
        return
    records = [_values_of(grant) for grant in grants]
    async with driver(session) as connection:
        await connection.copy_records_to_table("grant", columns=_COLUMNS, records=records)


async def update_remaining(session: AsyncSession, grants: Sequence[Grant]) -> None:
    if not grants:
        return
    rows = [
        _pack_moved(
            len(_MOVED), 16, one.id.bytes, 8, one.remaining, 8, one.burnt, 8, one.expired, 8, one.rolled,
            1, one.is_withdrawn,
        )
        for one in grants
    ]  # fmt: skip
    async with driver(session) as connection:
        await stage_rows(connection, "moved_grant", definition=_STAGED, columns=list(_MOVED), rows=rows)
        await connection.execute(_UPDATE)


def _grant(row: Any) -> Grant:
    # By position: columns are selected in the order of the fields, and most of what a batch reads is grants.
    grant_id, account_id, source, unit, *rest = row
    return Grant(grant_id, account_id, _SOURCES[source], _UNITS[unit], *rest)
