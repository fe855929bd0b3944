"""Users, accounts, members, projects."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from auth.tables.base import Base
from contracts.terms import Budget


class UserRow(Base):
    """A person and their address."""

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
    deletion_due_at: Mapped[datetime | None] = mapped_column(index=True)
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
    name: Mapped[str | None]
    state: Mapped[str]
    budgets: Mapped[tuple[Budget, ...]]
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
    budgets: Mapped[tuple[Budget, ...]]
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
    budgets: Mapped[tuple[Budget, ...]]
    version: Mapped[int]
    created_at: Mapped[datetime]


class SubscriptionRow(Base):
    """Billing's subscription as last heard; for the plan that tokens show, and for who wants to leave."""

    __tablename__ = "subscriptions"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    version: Mapped[int]
    plan_id: Mapped[str]
    status: Mapped[str]
    period_end: Mapped[datetime]
    cancel_at_period_end: Mapped[bool]


class EmailChangeRow(Base):
    """A new address that waits until its owner and the owner of the old one have both confirmed."""

    __tablename__ = "email_changes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), unique=True)
    address: Mapped[str]
    address_normal: Mapped[str]
    old_confirmed_at: Mapped[datetime | None]
    new_confirmed_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]


class InvitationRow(Base):
    """Somebody, known by an address only, who may join an account."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint("role IN ('admin', 'developer', 'user')", name="role_known"),
        CheckConstraint("state IN ('open', 'accepted', 'revoked')", name="state_known"),
        Index(None, "account_id", "id"),
        Index(
            "uq_invitations_open", "account_id", "address_normal", unique=True, postgresql_where=text("state = 'open'")
        ),
        Index(None, "address_normal"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    address: Mapped[str]
    address_normal: Mapped[str]
    role: Mapped[str]
    state: Mapped[str]
    invited_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    expires_at: Mapped[datetime] = mapped_column(index=True)
    created_at: Mapped[datetime]
