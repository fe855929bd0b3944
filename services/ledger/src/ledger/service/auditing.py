"""Who changed what, and why: written in the transaction of the change, never changed after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import uuid7
from ledger.repository.audit import insert_audit, list_audit


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A change by a person; `before` and `after` hold no secrets."""

    actor_user_id: UUID
    action: str
    target: str
    account_id: UUID | None = None
    reason: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Auditing:
    """The audit log."""

    clock: Clock

    async def record(self, session: AsyncSession, act: Act) -> None:
        await insert_audit(
            session,
            id=uuid7(self.clock),
            account_id=act.account_id,
            actor_user_id=act.actor_user_id,
            action=act.action,
            target=act.target,
            reason=act.reason,
            before=act.before,
            after=act.after,
            recorded_at=self.clock.now(),
        )

    async def acts(
        self, session: AsyncSession, *, account_id: UUID | None, before: UUID | None, limit: int
    ) -> Sequence[Any]:
        return await list_audit(session, account_id=account_id, before=before, limit=limit)
