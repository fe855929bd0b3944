"""Sessions and their refresh tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from auth.tables.base import Base


class SessionRow(Base):
    """One sign-in, or an operator's look; `access_until` is when the last access token given to it could expire.

    `client_id` is the program that it was opened for, None for our own pages and routes; `scope` what that one may do.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("(operator_id IS NULL) = (reason IS NULL)", name="look_has_reason"),
        Index(None, "user_id", "id"),
        Index(None, "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    device: Mapped[str]
    network: Mapped[str]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    access_until: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]
    operator_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str | None]
    client_id: Mapped[str | None]
    scope: Mapped[str] = mapped_column(server_default="")


class RefreshTokenRow(Base):
    """One refresh token by its SHA-256; a used one stays, so that its reuse is seen."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index(None, "session_id"),)

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    issued_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
