"""Billing's tables; amounts are integers, instants are UTC."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, CheckConstraint, DateTime, Index, Integer, MetaData, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from kit.tables import NAMING, idempotency_table, inbox_table, outbox_table, parked_table


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy's declarative form
        str: Text,
        int: BigInteger,
        bool: Boolean,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
    }


MACHINERY = tuple(
    table.to_metadata(Base.metadata) for table in (outbox_table, inbox_table, parked_table, idempotency_table)
)


class AccountRow(Base):
    """A paying party, as auth announced it; its lock orders what we say about it."""

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    owner_user_id: Mapped[UUID]
    created_at: Mapped[datetime]


class OfferRow(Base):
    """An offer and whether the present catalogue still has it."""

    __tablename__ = "offer"
    __table_args__ = (CheckConstraint("kind IN ('plan', 'bundle')", name="kind_known"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    on_sale: Mapped[bool]
    position: Mapped[int] = mapped_column(Integer)


class OfferVersionRow(Base):
    """What an offer costs and gives from `effective_at` on; rows are only ever inserted."""

    __tablename__ = "offer_version"
    __table_args__ = (CheckConstraint("version > 0", name="version_positive"),)

    offer_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str]
    digest: Mapped[str]
    currency: Mapped[str]
    spec: Mapped[dict[str, Any]]
    effective_at: Mapped[datetime]
    published_at: Mapped[datetime]


class StripePriceRow(Base):
    """The price in Stripe that stands for a version of an offer."""

    __tablename__ = "stripe_price"
    __table_args__ = (Index(None, "offer_id", "version", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[str]
    offer_id: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)


class StripeCustomerRow(Base):
    """The one customer in Stripe of an account."""

    __tablename__ = "stripe_customer"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)


class CheckoutRow(Base):
    """A checkout that an account began; its session's id is empty until Stripe has answered."""

    __tablename__ = "checkout"
    __table_args__ = (
        CheckConstraint("status IN ('opening', 'open', 'complete', 'expired')", name="status_known"),
        Index(None, "account_id", "idempotency_key", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    idempotency_key: Mapped[str]
    offer_id: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)
    mode: Mapped[str]
    success_url: Mapped[str]
    cancel_url: Mapped[str]
    status: Mapped[str]
    session_id: Mapped[str | None] = mapped_column(unique=True)
    payment_id: Mapped[str | None]
    subscription_id: Mapped[str | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class SubscriptionRow(Base):
    """A subscription as Stripe has it; `version` grows with each change."""

    __tablename__ = "subscription"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    version: Mapped[int] = mapped_column(Integer)
    plan_id: Mapped[str]
    plan_version: Mapped[int] = mapped_column(Integer)
    status: Mapped[str]
    current_period_start: Mapped[datetime]
    current_period_end: Mapped[datetime]
    cancel_at_period_end: Mapped[bool]


class PaymentRow(Base):
    """A payment that was settled or has failed so far; the id is Stripe's payment intent."""

    __tablename__ = "payment"
    __table_args__ = (
        CheckConstraint("status IN ('settled', 'failed')", name="status_known"),
        CheckConstraint("amount_minor >= 0 AND fee_minor >= 0 AND grant_nano >= 0", name="amounts_not_negative"),
        Index(None, "account_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    kind: Mapped[str]
    status: Mapped[str]
    offer_id: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)
    subscription_id: Mapped[str | None]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    fee_minor: Mapped[int]
    fee_known: Mapped[bool]
    grant_nano: Mapped[int]
    failures: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]


class ReversalRow(Base):
    """Money that went back, or came back, once per refund and per step of a dispute."""

    __tablename__ = "reversal"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(index=True)
    amount_minor: Mapped[int]
    created_at: Mapped[datetime]


class WebhookEventRow(Base):
    """An event of Stripe's, stored before it is acknowledged; its content stays with Stripe."""

    __tablename__ = "webhook_event"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'applied', 'ignored', 'failed')", name="state_known"),
        Index("ix_webhook_event_pending", "due_at", postgresql_where=text("state = 'pending'")),
        Index("ix_webhook_event_failed", "received_at", postgresql_where=text("state = 'failed'")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    object_id: Mapped[str]
    lease_key: Mapped[str]
    created_at: Mapped[datetime]
    received_at: Mapped[datetime]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    due_at: Mapped[datetime]
    reason: Mapped[str | None]


class LeaseRow(Base):
    """Who works on a customer's events; the fencing number tells a holder that was overtaken."""

    __tablename__ = "lease"

    key: Mapped[str] = mapped_column(primary_key=True)
    fence: Mapped[int]
    held_until: Mapped[datetime]


class PollRow(Base):
    """How far Stripe's list of events has been read; one row."""

    __tablename__ = "poll"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    seen_until: Mapped[datetime]
