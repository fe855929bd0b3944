"""API keys, and the keys that sign tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from auth.tables.base import Base
from contracts.terms import Budget


class ApiKeyRow(Base):
    """An API key by its SHA-256."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("state IN ('active', 'revoked')", name="state_known"),
        CheckConstraint("(state = 'revoked') = (revoked_at IS NOT NULL)", name="revoked_has_time"),
        CheckConstraint(
            "(share_id IS NULL) = (for_account_id IS NULL) AND (share_id IS NULL) = (for_project_id IS NULL)",
            name="shared_whole",
        ),
        Index(None, "account_id", "id"),
        Index("ix_api_keys_shared", "share_id", postgresql_where=text("share_id IS NOT NULL")),
        Index(
            "ix_api_keys_rotated", "expires_at", postgresql_where=text("state = 'active' AND rotated_at IS NOT NULL")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    mode: Mapped[str]
    key_sha256: Mapped[str] = mapped_column(unique=True)
    prefix: Mapped[str]
    last4: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    budgets: Mapped[tuple[Budget, ...]]
    allowed_networks: Mapped[list[str]] = mapped_column(ARRAY(Text))
    state: Mapped[str]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    rotated_at: Mapped[datetime | None]
    share_id: Mapped[UUID | None] = mapped_column(ForeignKey("project_shares.id"))
    for_account_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"))
    for_project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id"))
    tombstoned_at: Mapped[datetime | None]
    version: Mapped[int]
    created_at: Mapped[datetime]


class SigningKeyRow(Base):
    """A key that signs tokens; the private half is sealed."""

    __tablename__ = "signing_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    public_key: Mapped[bytes]
    private_sealed: Mapped[bytes]
    signs_from: Mapped[datetime]
    retires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
