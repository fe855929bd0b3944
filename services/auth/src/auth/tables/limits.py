"""Counters behind the limits."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from auth.tables.base import Base


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
