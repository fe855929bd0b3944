"""Where else an account is told: its own endpoints, and its chats."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, DateTime, Index, LargeBinary, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from notifier.domain.endpoints import Channel, EndpointState
from notifier.tables.base import Base


class EndpointRow(Base):
    """A URL that an account is told at; the URL and the signing secrets are sealed, `shown` is what may be seen."""

    __tablename__ = "endpoint"
    __table_args__ = (
        CheckConstraint("channel IN ('webhook', 'slack', 'discord', 'teams')", name="channel_known"),
        CheckConstraint("state IN ('active', 'disabled')", name="state_known"),
        CheckConstraint("(channel = 'webhook') = (secret_sealed IS NOT NULL)", name="webhooks_are_signed"),
        CheckConstraint("(old_secret_sealed IS NULL) = (old_secret_until IS NULL)", name="old_secret_ends"),
        Index("ix_endpoint_account", "account_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid)
    channel: Mapped[Channel] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    shown: Mapped[str] = mapped_column(Text)
    url_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    secret_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    old_secret_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    old_secret_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    kinds: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    language: Mapped[str] = mapped_column(Text)
    state: Mapped[EndpointState] = mapped_column(Text)
    failing_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
