"""What people chose, read and got; people are ids here, and addresses keyed hashes."""

from datetime import datetime, time
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, Integer, LargeBinary, Text, Time, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from notifier.domain.choosing import Cause, MailChoice
from notifier.tables.base import Base


class ScheduleRow(Base):
    """When a person wants to be left alone, and when the digest comes."""

    __tablename__ = "schedule"
    __table_args__ = (
        CheckConstraint("(quiet_from IS NULL) = (quiet_until IS NULL)", name="quiet_whole"),
        CheckConstraint("quiet_from <> quiet_until", name="quiet_not_empty"),
    )

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    time_zone: Mapped[str] = mapped_column(Text)
    quiet_from: Mapped[time | None] = mapped_column(Time)
    quiet_until: Mapped[time | None] = mapped_column(Time)
    digest_at: Mapped[time] = mapped_column(Time)


class PreferenceRow(Base):
    """How a person wants one kind of an account's notices."""

    __tablename__ = "preference"
    __table_args__ = (CheckConstraint("mail IN ('now', 'digest', 'off')", name="mail_known"),)

    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    mail: Mapped[MailChoice] = mapped_column(Text)


class MailCountRow(Base):
    """How many mails a person got in the hour that is running, or was when the last one came."""

    __tablename__ = "mail_count"

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    hour: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    mails: Mapped[int] = mapped_column(Integer)


class SuppressedRow(Base):
    """An address that bounces or complained; until `until`, or until somebody lifts it."""

    __tablename__ = "suppressed"
    __table_args__ = (CheckConstraint("cause IN ('bounce', 'complaint')", name="cause_known"),)

    address_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    cause: Mapped[Cause] = mapped_column(Text)
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ReadRow(Base):
    """A notice that a person has read."""

    __tablename__ = "feed_read"
    __table_args__ = (Index("ix_feed_read_read_at", "read_at"),)

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    notice_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    read_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ReadAllRow(Base):
    """Everything of an account's feed up to an instant is read by a person."""

    __tablename__ = "feed_read_all"

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    read_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
