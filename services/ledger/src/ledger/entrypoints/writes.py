"""Writes that move money: one transaction, the key claimed first, the answer kept for repeats (money.md 17)."""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit import idempotency
from kit.database import Database
from kit.http import RequestModel, ResponseModel

A = TypeVar("A", bound=ResponseModel)


async def write_once(
    database: Database,
    work: Callable[[AsyncSession], Awaitable[A]],
    *,
    answer: type[A],
    scope: UUID,
    route: str,
    key: str,
    body: RequestModel,
) -> A:
    """What `work` answers, or what it answered when this key was used first; another body under the key is refused."""
    async with database.transaction() as session:
        attempt = await idempotency.begin(
            session, scope=str(scope), route=route, key=key, body=body.model_dump(mode="json")
        )
        if attempt.answer is not None:
            return answer.model_validate(attempt.answer)
        done = await work(session)
        await idempotency.finish(session, attempt, status=201, answer=done.model_dump(mode="json"))
        return done
