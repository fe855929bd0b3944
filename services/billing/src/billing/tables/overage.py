"""Overage on its way to Stripe's meters (money.md 32)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.tables.base import Base


class OverageFactRow(Base):
    """What the ledger said of an account and hour, as it said it; the sequence of each hour has no gaps."""

    __tablename__ = "overage_fact"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    plan_id: Mapped[str] = mapped_column(primary_key=True)
    plan_version: Mapped[int] = mapped_column(Integer, primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True)
    amount_nano: Mapped[int]
    heard_at: Mapped[datetime]


class OverageCarryRow(Base):
    """What is less than one unit of the meter, or negative, and waits for the account's next row."""

    __tablename__ = "overage_carry"
    __table_args__ = (Index("ix_overage_carry_reduced", "account_id", postgresql_where=text("carry_nano < 0")),)

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    carry_nano: Mapped[int]


class OverageRow(Base):
    """One meter event: whole units of an account, meter and hour, sent one at a time under its own identifier."""

    __tablename__ = "overage"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'sent', 'accepted', 'rejected', 'expired')", name="state_known"),
        CheckConstraint("units > 0", name="units_positive"),
        Index("ix_overage_due", "account_id", "due_at", postgresql_where=text("state IN ('pending', 'sent')")),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    meter: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True)
    units: Mapped[int]
    state: Mapped[str]
    identifier: Mapped[str] = mapped_column(unique=True)
    dated_at: Mapped[datetime | None]
    first_sent_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer)
    due_at: Mapped[datetime]
    reason: Mapped[str | None]
    told_at: Mapped[datetime | None]


class OverageCreditRow(Base):
    """A reduction that nothing offset: given back by an item on the customer's next invoice, whose id is Stripe's."""

    __tablename__ = "overage_credit"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        Index("ix_overage_credit_due", "due_at", postgresql_where=text("item_id IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(index=True)
    amount_minor: Mapped[int]
    currency: Mapped[str]
    item_id: Mapped[str | None]
    tries: Mapped[int] = mapped_column(Integer)
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]


class MeteredItemRow(Base):
    """The item that bills the meter in a subscription; nothing before `since` is counted for it."""

    __tablename__ = "metered_item"

    subscription_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(index=True)
    item_id: Mapped[str]
    since: Mapped[datetime]


class MeterCheckRow(Base):
    """A period of a subscription whose meter was held against our rows while its invoice was a draft."""

    __tablename__ = "meter_check"

    subscription_id: Mapped[str] = mapped_column(primary_key=True)
    period_end: Mapped[datetime] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    period_start: Mapped[datetime]
    reported_units: Mapped[int]
    counted_units: Mapped[int]
    checked_at: Mapped[datetime]
