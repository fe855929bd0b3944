"""What is to be told, to whom, and how far that is."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from notifier.tables.base import Base


class DeliveryRow(Base):
    """A notice and its sending by mail; never an address or a link, only whom to ask auth about.

    With an account and a user it is for that one person: held back over night, or a digest. With a target it brings
    a notice to an endpoint.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'sent', 'failed', 'skipped')", name="state_known"),
        CheckConstraint(
            "(audience = 'account' AND account_id IS NOT NULL AND message_id IS NULL)"
            " OR (audience = 'message' AND message_id IS NOT NULL AND account_id IS NULL)"
            " OR (audience = 'operators' AND account_id IS NULL AND message_id IS NULL)",
            name="audience_named",
        ),
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        CheckConstraint("(channel = 'mail') = (target_id IS NULL)", name="target_named"),
        CheckConstraint("priority BETWEEN 0 AND 3", name="priority_known"),
        Index(
            "ix_delivery_waiting",
            "priority",
            "next_attempt_at",
            postgresql_where=text("state = 'pending' AND target_id IS NULL"),
        ),
        Index(
            "ix_delivery_waiting_target",
            "priority",
            "next_attempt_at",
            postgresql_where=text("state = 'pending' AND target_id IS NOT NULL"),
        ),
        Index(
            "ix_delivery_target",
            "target_id",
            "created_at",
            "id",
            postgresql_where=text("target_id IS NOT NULL"),
        ),
        Index("ix_delivery_feed", "account_id", "created_at", "id"),
        Index("ix_delivery_person", "user_id", "created_at", "id", postgresql_where=text("user_id IS NOT NULL")),
        Index("ix_delivery_newest", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    dedupe_key: Mapped[str] = mapped_column(Text, unique=True)
    kind: Mapped[str] = mapped_column(Text)
    audience: Mapped[str] = mapped_column(Text)
    account_id: Mapped[UUID | None] = mapped_column(Uuid)
    message_id: Mapped[UUID | None] = mapped_column(Uuid)
    user_id: Mapped[UUID | None] = mapped_column(Uuid)
    channel: Mapped[str] = mapped_column(Text, server_default="mail")
    target_id: Mapped[UUID | None] = mapped_column(Uuid)
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="2")
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text, server_default="pending")
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    mailed_to: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default="{}")
    reason: Mapped[str | None] = mapped_column(Text)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    trying_since: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    next_attempt_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    settled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class SubscriptionRow(Base):
    """The last known state of a subscription, so that a renewal is not told as a change, and an end is in time."""

    __tablename__ = "subscription"
    __table_args__ = (
        CheckConstraint("remind_at IS NULL OR (account_id IS NOT NULL AND ends_at IS NOT NULL)", name="reminder_whole"),
        Index("ix_subscription_remind_at", "remind_at", postgresql_where=text("remind_at IS NOT NULL")),
    )

    subscription_id: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    plan_id: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    cancel_at_period_end: Mapped[bool] = mapped_column(Boolean)
    account_id: Mapped[UUID | None] = mapped_column(Uuid)
    pending_plan_id: Mapped[str | None] = mapped_column(Text)
    ends_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    remind_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class DigestItemRow(Base):
    """A notice that a digest will tell."""

    __tablename__ = "digest_item"

    digest_id: Mapped[UUID] = mapped_column(ForeignKey("delivery.id", ondelete="CASCADE"), primary_key=True)
    notice_id: Mapped[UUID] = mapped_column(ForeignKey("delivery.id", ondelete="CASCADE"), primary_key=True)
