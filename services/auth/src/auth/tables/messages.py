"""Mails that auth wants sent, and what their links are for."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from auth.tables.base import Base


class MessageRow(Base):
    """A mail that auth wants sent, about `subject_id`; address and link are made when the notifier asks."""

    __tablename__ = "messages"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), index=True)
    subject_id: Mapped[UUID | None]
    created_at: Mapped[datetime]


class MessageLinkRow(Base):
    """A link that was put into a mail, by its token's SHA-256; it works once."""

    __tablename__ = "message_links"
    __table_args__ = (Index(None, "expires_at"),)

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
