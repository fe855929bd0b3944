"""`Idempotency-Key` on writes that move money: the same key and body gives the same answer, another body is refused."""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.errors import ConflictError
from kit.http import IdempotencyKey as IdempotencyKey  # noqa: PLC0414  # where whoever claims one looks for it
from kit.tables import idempotency_table


class IdempotencyConflictError(ConflictError):
    code = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One use of a key; `answer` is what the first use answered, None when this is the first or that never ended."""

    scope: str
    route: str
    key: str
    status: int | None = None
    answer: Any = None
    is_repeat: bool = False


async def begin(session: AsyncSession, *, scope: str, route: str, key: str, body: object) -> Attempt:
    """Claim the key in this transaction, before any other lock (money.md 17); waits for a first use still under way."""
    digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)).digest()
    claimed = await session.execute(
        insert(idempotency_table)
        .values(scope=scope, route=route, key=key, digest=digest)
        .on_conflict_do_nothing()
        .returning(idempotency_table.c.key)
    )
    if claimed.first() is not None:
        return Attempt(scope, route, key)
    table = idempotency_table.c
    row = (
        await session.execute(
            select(table.digest, table.status, table.answer).where(
                table.scope == scope, table.route == route, table.key == key
            )
        )
    ).one()
    if row.digest != digest:
        raise IdempotencyConflictError("This Idempotency-Key was used with another body.", field="Idempotency-Key")
    return Attempt(scope, route, key, row.status, row.answer, is_repeat=True)


async def finish(session: AsyncSession, attempt: Attempt, *, status: int, answer: Any) -> None:
    """Keep the answer for repeats, in the transaction of the effect."""
    table = idempotency_table.c
    await session.execute(
        update(idempotency_table)
        .where(table.scope == attempt.scope, table.route == attempt.route, table.key == attempt.key)
        .values(status=status, answer=answer)
    )


async def release(session: AsyncSession, attempt: Attempt) -> None:
    """Forget a use that was refused before it did anything: the next is a first one again."""
    table = idempotency_table.c
    await session.execute(
        delete(idempotency_table).where(
            table.scope == attempt.scope, table.route == attempt.route, table.key == attempt.key, table.status.is_(None)
        )
    )
