"""API keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.access import ApiKey
from auth.repository.rows import columns, find, listed, values
from auth.tables import ApiKeyRow


async def insert_api_key(session: AsyncSession, key: ApiKey) -> None:
    await session.execute(insert(ApiKeyRow).values(_values(key)))


def _values(key: ApiKey) -> dict[str, Any]:
    return {**values(key), "scopes": list(key.scopes), "allowed_networks": list(key.allowed_networks)}


async def find_api_key_by_hash(session: AsyncSession, key_sha256: str) -> ApiKey | None:
    return await find(session, select(*columns(ApiKeyRow, ApiKey)).where(ApiKeyRow.key_sha256 == key_sha256), ApiKey)


async def list_usable(session: AsyncSession, ids: Sequence[UUID], *, now: datetime) -> list[UUID]:
    """Which of these keys can be used."""
    current = or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now)
    statement = select(ApiKeyRow.id).where(ApiKeyRow.id.in_(ids), ApiKeyRow.state == "active", current)
    return list(await session.scalars(statement))


async def lock_api_key(session: AsyncSession, account_id: UUID, key_id: UUID) -> ApiKey | None:
    statement = select(*columns(ApiKeyRow, ApiKey)).where(ApiKeyRow.id == key_id, ApiKeyRow.account_id == account_id)
    return await find(session, statement.with_for_update(), ApiKey)


async def lock_keys_of(
    session: AsyncSession,
    *,
    user_id: UUID | None = None,
    account_id: UUID | None = None,
    project_id: UUID | None = None,
    share_id: UUID | None = None,
) -> list[ApiKey]:
    """Keys that are not revoked, of a user, account, project or share, or of several of these at once."""
    statement = select(*columns(ApiKeyRow, ApiKey)).where(ApiKeyRow.state == "active")
    for column, value in (
        (ApiKeyRow.user_id, user_id),
        (ApiKeyRow.account_id, account_id),
        (ApiKeyRow.project_id, project_id),
        (ApiKeyRow.share_id, share_id),
    ):
        if value is not None:
            statement = statement.where(column == value)
    return await listed(session, statement.order_by(ApiKeyRow.id).with_for_update(), ApiKey)


async def list_api_keys(
    session: AsyncSession, account_id: UUID, *, user_id: UUID | None, before: UUID | None, limit: int
) -> list[ApiKey]:
    """The account's keys, newest first; only those of `user_id` unless that is None."""
    statement = select(*columns(ApiKeyRow, ApiKey)).where(ApiKeyRow.account_id == account_id)
    if user_id is not None:
        statement = statement.where(ApiKeyRow.user_id == user_id)
    if before is not None:
        statement = statement.where(ApiKeyRow.id < before)
    return await listed(session, statement.order_by(ApiKeyRow.id.desc()).limit(limit), ApiKey)


async def update_api_key_revoked(session: AsyncSession, key_id: UUID, *, now: datetime) -> ApiKey:
    return await update_api_key(session, key_id, state="revoked", revoked_at=now)


async def update_api_key(session: AsyncSession, key_id: UUID, **changed: object) -> ApiKey:
    """A new version of a key that the caller has locked."""
    statement = (
        update(ApiKeyRow)
        .where(ApiKeyRow.id == key_id)
        .values(version=ApiKeyRow.version + 1, **changed)
        .returning(*columns(ApiKeyRow, ApiKey))
    )
    changed_key = await find(session, statement, ApiKey)
    assert changed_key is not None
    return changed_key


async def find_api_key(session: AsyncSession, key_id: UUID) -> ApiKey | None:
    return await find(session, select(*columns(ApiKeyRow, ApiKey)).where(ApiKeyRow.id == key_id), ApiKey)


async def count_active(session: AsyncSession, account_id: UUID) -> int:
    statement = select(func.count()).where(ApiKeyRow.account_id == account_id, ApiKeyRow.state == "active")
    return await session.scalar(statement) or 0


async def lock_by_hash(session: AsyncSession, key_sha256: str) -> ApiKey | None:
    statement = select(*columns(ApiKeyRow, ApiKey)).where(ApiKeyRow.key_sha256 == key_sha256)
    return await find(session, statement.with_for_update(), ApiKey)


async def lock_replaced(session: AsyncSession, *, now: datetime) -> list[ApiKey]:
    """Keys that were rotated and whose overlap is over."""
    statement = (
        select(*columns(ApiKeyRow, ApiKey))
        .where(ApiKeyRow.state == "active", ApiKeyRow.rotated_at.is_not(None), ApiKeyRow.expires_at <= now)
        .order_by(ApiKeyRow.id)
        .limit(500)
        .with_for_update(skip_locked=True)
    )
    return await listed(session, statement, ApiKey)


async def update_last_used(session: AsyncSession, key_id: UUID, *, now: datetime, coarse_s: float) -> None:
    """Once in `coarse_s` is enough; a hot key would write the same row all the time."""
    await session.execute(
        update(ApiKeyRow)
        .where(
            ApiKeyRow.id == key_id,
            or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at < now - timedelta(seconds=coarse_s)),
        )
        .values(last_used_at=now)
    )


async def update_tombstoned(session: AsyncSession, *, now: datetime, keep: timedelta) -> list[UUID]:
    """Mark keys that could last be valid `keep` ago; returns which."""
    over = (
        select(ApiKeyRow.id)
        .where(
            ApiKeyRow.tombstoned_at.is_(None),
            func.coalesce(ApiKeyRow.revoked_at, ApiKeyRow.expires_at) < now - keep,
        )
        .limit(1000)
    )
    statement = update(ApiKeyRow).where(ApiKeyRow.id.in_(over)).values(tombstoned_at=now).returning(ApiKeyRow.id)
    return list(await session.scalars(statement))
