from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ledger import tables
from ledger.domain.account import Account
from ledger.repository.binary import stage_rows, update_from
from ledger.repository.driver import driver
from ledger.repository.packed_accounts import PACKED_ACCOUNT, packed_accounts

_COLUMNS = tuple(field.name for field in fields(Account))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM account"  # noqa: S608  # our own column names

_STANDING = (
    "state",
    "auth_version",
    "plan_id",
    "plan_version",
    "subscription_id",
    "activated_at",
    "levels",
    "markup_bps",
    "settings_version",
    "overage_ceiling_nano",
    "has_payment_method",
    "payment_problem",
    "frozen",
)
"""What seldom changes."""
_MOVING = {
    "id": "uuid",
    "version": "bigint",
    "debt_nano": "bigint",
    "transfer_seq": "bigint",
    "arming": "integer",
    "armed_base": "bigint",
    "armed_tokens": "bigint",
    "armed_requests": "bigint",
    "crossed": "text[]",
    "period_start": "timestamptz",
    "period_end": "timestamptz",
    "period_calls": "bigint",
    "period_tokens": "bigint",
    "period_value_nano": "bigint",
    "period_overage_nano": "bigint",
    "overage_carry": "bigint",
    "due_at": "timestamptz",
    "head": "bytea",
}
"""What postings move."""
_STAGED, _UPDATE = update_from("moved_account", table="account", kinds=_MOVING)


async def insert_account(session: AsyncSession, account_id: UUID, *, now: datetime) -> bool:
    """False when the account is there already."""
    inserted = await session.execute(
        insert(tables.account)
        .values(
            id=account_id,
            state="open",
            version=0,
            auth_version=0,
            debt_nano=0,
            transfer_seq=0,
            arming=0,
            armed_base=0,
            armed_unit="credit",
            crossed=[],
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(tables.account.c.id)
    )
    return inserted.first() is not None


async def lock_accounts(session: AsyncSession, account_ids: Collection[UUID]) -> dict[UUID, Account]:
    """Lock the rows in order of id, so that two writers of the same accounts never wait for each other in a ring."""
    async with driver(session) as connection:
        rows = await connection.fetch(f"{_SELECT} WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE", list(account_ids))
    accounts = [Account(*row) for row in rows]
    return {account.id: account for account in accounts}


async def find_account(session: AsyncSession, account_id: UUID) -> Account | None:
    columns = [tables.account.c[name] for name in _COLUMNS]
    row = (await session.execute(select(*columns).where(tables.account.c.id == account_id))).mappings().one_or_none()
    return Account(**row) if row else None


async def list_known(session: AsyncSession, account_ids: Collection[UUID]) -> set[UUID]:
    """Those of the ids that name an account."""
    if not account_ids:
        return set()
    async with driver(session) as connection:
        rows = await connection.fetch("SELECT id FROM account WHERE id = ANY($1::uuid[])", list(account_ids))
    return {row["id"] for row in rows}


async def update_accounts(session: AsyncSession, accounts: Sequence[Account]) -> None:
    """What every posting moves; by COPY, because arrays as parameters cost the driver more."""
    async with driver(session) as connection:
        rows = packed_accounts(accounts)
        await stage_rows(connection, "moved_account", definition=_STAGED, columns=PACKED_ACCOUNT, rows=rows)
        await connection.execute(_UPDATE)


async def update_standing(session: AsyncSession, account: Account) -> None:
    """What seldom changes: state, plan, subscription, activation, settings."""
    await session.execute(
        tables.account.update()
        .where(tables.account.c.id == account.id)
        .values({name: getattr(account, name) for name in _STANDING})
    )


async def list_due(session: AsyncSession, *, now: datetime, limit: int) -> list[UUID]:
    """Accounts that time alone has something to do with, the longest due first."""
    columns = tables.account.c
    rows = await session.execute(
        select(columns.id).where(columns.due_at <= now).order_by(columns.due_at, columns.id).limit(limit)
    )
    return [row.id for row in rows]


async def list_unchained(session: AsyncSession, *, after: UUID, limit: int) -> list[UUID]:
    """The next accounts, by id, whose transfers have no hashes yet."""
    columns = tables.account.c
    rows = await session.execute(
        select(columns.id)
        .where(columns.id > after, columns.head.is_(None), columns.transfer_seq > 0)
        .order_by(columns.id)
        .limit(limit)
    )
    return [row.id for row in rows]
