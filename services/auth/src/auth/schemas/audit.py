"""The audit log."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from kit.http import ResponseModel


class AuditAnswer(ResponseModel):
    """One action; `before` and `after` hold what changed, without secrets."""

    id: UUID
    at: datetime
    account_id: UUID | None
    actor_kind: Literal["user", "operator", "command", "system", "anybody"]
    actor_id: UUID | None
    action: str
    target_kind: str
    target_id: UUID
    network: str | None
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
