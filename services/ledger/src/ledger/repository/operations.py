"""Who used an idempotency key first: one row per account, route and key, kept as long as the books."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.operations import KeyClaim, OperationKey
from ledger.repository.driver import driver

_ARRAYS: Final = "unnest($1::uuid[], $2::text[], $3::text[]"


async def insert_keys(session: AsyncSession, claims: Sequence[KeyClaim], *, now: datetime) -> set[OperationKey]:
    """Claim keys; those that were new. Inserted in order of key, so that no two batches wait for each other."""
    ordered = sorted(claims, key=lambda claim: (claim.key.account_id.int, claim.key.route, claim.key.key))
    async with driver(session) as connection:
        rows = await connection.fetch(
            f"""
            INSERT INTO operation_key (account_id, route, key, body_sha256, charge_id, quantity, claimed_at)
            SELECT *, $7 FROM {_ARRAYS}, $4::bytea[], $5::uuid[], $6::bigint[])
            ON CONFLICT DO NOTHING RETURNING account_id, route, key
            """,  # noqa: S608  # our own text
            *_columns([claim.key for claim in ordered]),
            [claim.body_sha256 for claim in ordered],
            [claim.charge_id for claim in ordered],
            [claim.quantity for claim in ordered],
            now,
        )
    return {OperationKey(*row) for row in rows}


async def list_keys(session: AsyncSession, keys: Sequence[OperationKey]) -> dict[OperationKey, KeyClaim]:
    """Who stands under these keys."""
    async with driver(session) as connection:
        rows = await connection.fetch(
            f"""
            SELECT account_id, route, key, body_sha256, charge_id, quantity FROM operation_key
            JOIN {_ARRAYS}) AS wanted(account_id, route, key) USING (account_id, route, key)
            """,  # noqa: S608  # our own text
            *_columns(keys),
        )
    claims = (KeyClaim(OperationKey(*row[:3]), row[3], row[4], row[5]) for row in rows)
    return {claim.key: claim for claim in claims}


def _columns(keys: Sequence[OperationKey]) -> tuple[list[object], list[str], list[str]]:
    return [key.account_id for key in keys], [key.route for key in keys], [key.key for key in keys]
