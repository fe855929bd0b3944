"""Programs, what users allowed them, and the codes on the way to their tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from auth.tables.base import Base


class ClientRow(Base):
    """A program that an operator registered; others stand in the configuration."""

    __tablename__ = "oauth_clients"
    __table_args__ = (CheckConstraint("state IN ('active', 'disabled')", name="state_known"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(Text))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret_hash: Mapped[bytes | None]
    state: Mapped[str]
    created_at: Mapped[datetime]


class AuthorizationCodeRow(Base):
    """A code by its SHA-256; a used one stays a while, so that its reuse is seen."""

    __tablename__ = "authorization_codes"
    __table_args__ = (Index(None, "expires_at"), Index(None, "user_id"))

    code_hash: Mapped[bytes] = mapped_column(primary_key=True)
    client_id: Mapped[str]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    scope: Mapped[str]
    redirect_uri: Mapped[str]
    code_challenge: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    session_id: Mapped[UUID | None]


class DeviceCodeRow(Base):
    """A program that waits; its own code by SHA-256, the one that a person types as it is, for it proves nothing."""

    __tablename__ = "device_codes"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'allowed', 'denied', 'used')", name="state_known"),
        CheckConstraint("(state IN ('allowed', 'used')) = (user_id IS NOT NULL)", name="allowed_by_somebody"),
        Index(None, "expires_at"),
    )

    code_hash: Mapped[bytes] = mapped_column(primary_key=True)
    user_code: Mapped[str] = mapped_column(unique=True)
    client_id: Mapped[str]
    scope: Mapped[str]
    asked_from: Mapped[str]
    state: Mapped[str]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"))
    interval_s: Mapped[int]
    polled_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    session_id: Mapped[UUID | None]


class ConsentRow(Base):
    """What a user allowed a program; `client_name` is how it was called then."""

    __tablename__ = "consents"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    client_id: Mapped[str] = mapped_column(primary_key=True)
    client_name: Mapped[str]
    scope: Mapped[str]
    granted_at: Mapped[datetime]


class SessionKeyRow(Base):
    """What a client that cannot refresh has in place of tokens, by its SHA-256; it ends with its session."""

    __tablename__ = "session_keys"

    key_sha256: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), unique=True)
