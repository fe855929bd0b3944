"""What billing's tables have in common, and the machinery's own."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

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
