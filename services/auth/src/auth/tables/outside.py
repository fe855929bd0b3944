"""Ways to sign in that others vouch for: providers, trusted issuers, passkeys; and secrets that are used once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from auth.tables.base import Base


class IdentityRow(Base):
    """A user as an outside issuer knows them: by issuer and subject, never by address."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"), Index(None, "user_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str]
    issuer: Mapped[str]
    subject: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]


class OutsideAccountRow(Base):
    """Which account of ours an outside issuer means by a name of its own."""

    __tablename__ = "outside_accounts"

    issuer: Mapped[str] = mapped_column(primary_key=True)
    outside_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    created_at: Mapped[datetime]


class OutsideProjectRow(Base):
    """Which project of an account an outside issuer means by a name of its own."""

    __tablename__ = "outside_projects"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    outside_id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"))
    created_at: Mapped[datetime]


class PasskeyRow(Base):
    """A public key that a user's authenticator has the private half of."""

    __tablename__ = "passkeys"
    __table_args__ = (Index(None, "user_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    credential_id: Mapped[bytes] = mapped_column(unique=True)
    public_key: Mapped[bytes]
    sign_count: Mapped[int]
    transports: Mapped[list[str]] = mapped_column(ARRAY(Text))
    name: Mapped[str]
    backed_up: Mapped[bool]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class ChallengeRow(Base):
    """Something that waits for one answer, by its SHA-256: `purpose` says for what, `user_id` from whom."""

    __tablename__ = "challenges"

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    user_id: Mapped[UUID | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class BrowserRequestRow(Base):
    """A mail's link that only the browser that asked may use, known by the SHA-256 of a secret in its cookie."""

    __tablename__ = "browser_requests"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    browser_hash: Mapped[bytes]
    expires_at: Mapped[datetime] = mapped_column(index=True)
