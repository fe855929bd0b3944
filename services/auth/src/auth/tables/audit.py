"""What people and operators did."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from auth.tables.base import Base


class AuditRow(Base):
    """One action. A trigger refuses changes and deletions; only `network` may be emptied, when a person is erased."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index(None, "account_id", "id"), Index(None, "actor_id", "id"), Index(None, "target_id", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    account_id: Mapped[UUID | None]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    action: Mapped[str]
    target_kind: Mapped[str]
    target_id: Mapped[UUID]
    network: Mapped[str | None]
    reason: Mapped[str | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
