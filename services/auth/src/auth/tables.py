"""The rows that auth keeps."""

from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Index, LargeBinary, MetaData, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from kit.tables import NAMING, inbox_table, outbox_table, parked_table


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        int: BigInteger(),
        bytes: LargeBinary(),
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
    }


MACHINERY: Final = tuple(table.to_metadata(Base.metadata) for table in (outbox_table, inbox_table, parked_table))


class UserRow(Base):
    """A person; the only place where an address stands."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("address_normal = lower(address_normal)", name="address_lower"),
        CheckConstraint("state IN ('active', 'disabled', 'deleted')", name="state_known"),
        Index(None, "id", postgresql_where=text("operator")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    address: Mapped[str]
    address_normal: Mapped[str] = mapped_column(unique=True)
    locale: Mapped[str | None]
    state: Mapped[str]
    operator: Mapped[bool]
    verified_at: Mapped[datetime | None]
    version: Mapped[int]
    created_at: Mapped[datetime]


class CredentialRow(Base):
    """A user's password as argon2id made it."""

    __tablename__ = "credentials"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    password_hash: Mapped[str]
    changed_at: Mapped[datetime]


class AccountRow(Base):
    """A paying party; `activated_at` is set once."""

    __tablename__ = "accounts"
    __table_args__ = (CheckConstraint("kind IN ('personal', 'team')", name="kind_known"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    state: Mapped[str]
    activated_at: Mapped[datetime | None]
    version: Mapped[int]
    created_at: Mapped[datetime]


class MemberRow(Base):
    """A user's role in an account."""

    __tablename__ = "members"
    __table_args__ = (
        CheckConstraint("role IN ('owner', 'admin', 'developer', 'user')", name="role_known"),
        CheckConstraint("state IN ('active', 'removed')", name="state_known"),
        Index(None, "user_id"),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str]
    state: Mapped[str]
    version: Mapped[int]


class ProjectRow(Base):
    """A scope inside an account."""

    __tablename__ = "projects"
    __table_args__ = (
        CheckConstraint("state IN ('active', 'archived')", name="state_known"),
        Index(None, "account_id"),
        Index("uq_projects_default", "account_id", unique=True, postgresql_where=text("is_default")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str]
    is_default: Mapped[bool]
    state: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[datetime]


class ApiKeyRow(Base):
    """An API key by its SHA-256."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("state IN ('active', 'revoked')", name="state_known"),
        CheckConstraint("(state = 'revoked') = (revoked_at IS NOT NULL)", name="revoked_has_time"),
        Index(None, "account_id", "id"),
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
    state: Mapped[str]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    tombstoned_at: Mapped[datetime | None]
    version: Mapped[int]
    created_at: Mapped[datetime]


class SessionRow(Base):
    """One sign-in; `access_until` is when the last access token given to it could expire."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "user_id", "id"), Index(None, "expires_at"))

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


class RefreshTokenRow(Base):
    """One refresh token by its SHA-256; a used one stays, so that its reuse is seen."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index(None, "session_id"),)

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    issued_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SigningKeyRow(Base):
    """A key that signs tokens; the private half is sealed."""

    __tablename__ = "signing_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    public_key: Mapped[bytes]
    private_sealed: Mapped[bytes]
    signs_from: Mapped[datetime]
    retires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class MessageRow(Base):
    """A mail that auth wants sent; address and link are made when the notifier asks."""

    __tablename__ = "messages"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]


class MessageLinkRow(Base):
    """A link that was put into a mail, by its token's SHA-256; it works once."""

    __tablename__ = "message_links"
    __table_args__ = (Index(None, "expires_at"),)

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SubscriptionRow(Base):
    """Billing's subscription as last heard; only for the plan that tokens show."""

    __tablename__ = "subscriptions"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    version: Mapped[int]
    plan_id: Mapped[str]
    status: Mapped[str]
    period_end: Mapped[datetime]


class FailureRow(Base):
    """Failed sign-ins under a hashed key."""

    __tablename__ = "failures"

    key: Mapped[bytes] = mapped_column(primary_key=True)
    attempts: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(index=True)
    blocked_until: Mapped[datetime | None]


class BucketRow(Base):
    """A rate limit under a hashed key: when its bucket will be full again."""

    __tablename__ = "buckets"

    key: Mapped[bytes] = mapped_column(primary_key=True)
    full_at: Mapped[datetime] = mapped_column(index=True)
