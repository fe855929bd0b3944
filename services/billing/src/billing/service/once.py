"""Writes that Stripe carries out: the key is claimed, Stripe is asked with a key made from it, the answer is kept."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from billing.errors import AlreadySoError
from kit import idempotency
from kit.database import Database


@dataclass(frozen=True, slots=True)
class Write:
    """One use of a key on a route, by an account; the same key with another body is refused."""

    account_id: UUID
    route: str
    key: str
    body: Mapping[str, Any]

    @property
    def scope(self) -> str:
        return str(self.account_id)

    @property
    def stripe_key(self) -> str:
        """What makes a second request to Stripe the first one again."""
        text = f"{self.scope}\x1f{self.route}\x1f{self.key}"
        return hashlib.sha256(text.encode()).hexdigest()


async def write_once(
    database: Database, write: Write, work: Callable[[str], Awaitable[Mapping[str, Any]]]
) -> Mapping[str, Any]:
    """The answer of the first use; one that ended without an answer is done again, with the same key in Stripe."""
    async with database.transaction() as session:
        attempt = await idempotency.begin(
            session, scope=write.scope, route=write.route, key=write.key, body=dict(write.body)
        )
    if attempt.answer is not None:
        kept: Mapping[str, Any] = attempt.answer
        return kept
    try:
        answer = await work(write.stripe_key)
    except AlreadySoError as so:
        # The first use of the key did it, and its answer was lost; or there was none, and nothing has been done.
        if not attempt.is_repeat:
            async with database.transaction() as session:
                await idempotency.release(session, attempt)
            raise
        answer = so.answer
    async with database.transaction() as session:
        await idempotency.finish(session, attempt, status=200, answer=dict(answer))
    return answer
