"""Service accounts and shared projects."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from auth.tables.base import Base


class ServiceAccountRow(Base):
    """A machine's user: a row of `users` without a credential, which one account owns."""

    __tablename__ = "service_accounts"
    __table_args__ = (Index(None, "account_id", "id"),)

    id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str]
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]


class ProjectShareRow(Base):
    """A project that another account's project may read, or use as well."""

    __tablename__ = "project_shares"
    __table_args__ = (
        CheckConstraint("access IN ('read', 'use')", name="access_known"),
        CheckConstraint("state IN ('active', 'revoked')", name="state_known"),
        CheckConstraint("(state = 'revoked') = (revoked_at IS NOT NULL)", name="revoked_has_time"),
        CheckConstraint("account_id <> with_account_id", name="another_account"),
        Index(None, "account_id", "id"),
        Index(None, "with_account_id", "id"),
        Index(
            "uq_project_shares_active",
            "project_id",
            "with_project_id",
            unique=True,
            postgresql_where=text("state = 'active'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"))
    with_account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    with_project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"))
    access: Mapped[str]
    state: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    tombstoned_at: Mapped[datetime | None]
