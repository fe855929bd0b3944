"""Writing and reading the audit log; an entry is written in the transaction of what it tells."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth import metrics
from auth.domain.audit import Actor, AuditEntry, AuditFilter
from auth.repository import audit
from kit.clock import Clock
from kit.ids import uuid7


async def record(
    session: AsyncSession,
    action: str,
    *,
    by: Actor,
    target: tuple[str, UUID],
    clock: Clock,
    account_id: UUID | None = None,
    reason: str | None = None,
    change: tuple[Mapping[str, Any] | None, Mapping[str, Any] | None] = (None, None),
) -> None:
    """`change` is what was and what is, as JSON, without secrets and addresses."""
    entry = AuditEntry(
        id=uuid7(clock),
        at=clock.now(),
        account_id=account_id,
        actor_kind=by.kind,
        actor_id=by.user_id,
        action=action,
        target_kind=target[0],
        target_id=target[1],
        network=by.network,
        reason=reason,
        before=change[0],
        after=change[1],
    )
    await audit.insert_entry(session, entry)
    metrics.AUDITED.labels(by.kind).inc()


async def list_entries(
    session: AsyncSession, wanted: AuditFilter, *, before: UUID | None, limit: int
) -> list[AuditEntry]:
    return await audit.list_entries(session, wanted, before=before, limit=limit)
