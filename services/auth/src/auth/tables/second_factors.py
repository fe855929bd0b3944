"""Second factors: the secret that makes codes, and the codes for when it is lost."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from auth.tables.base import Base


class TotpRow(Base):
    """A user's secret, sealed; it counts once it is confirmed. A code of `last_step` or before is used up."""

    __tablename__ = "totp_secrets"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    secret_sealed: Mapped[bytes]
    last_step: Mapped[int]
    confirmed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class RecoveryCodeRow(Base):
    """A code that replaces the second factor once, by a keyed hash."""

    __tablename__ = "recovery_codes"
    __table_args__ = (Index(None, "user_id"),)

    code_hash: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
