"""What every table of the notifier hangs on, and the machinery's own tables."""

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from kit.tables import NAMING, inbox_table, outbox_table, parked_table


class Base(DeclarativeBase):
    """Every table of the notifier."""

    metadata = MetaData(naming_convention=NAMING)


for machinery_table in (outbox_table, inbox_table, parked_table):
    machinery_table.to_metadata(Base.metadata)
