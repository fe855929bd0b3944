"""What all tables share, and the machinery's own tables."""

from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Dialect, LargeBinary, MetaData, Text, TypeDecorator, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from contracts.terms import Budget
from kit.tables import NAMING, inbox_table, outbox_table, parked_table


class BudgetsType(TypeDecorator[tuple[Budget, ...]]):
    """Budgets in one column: nothing asks for one without its owner."""

    impl = JSONB
    cache_ok = True

    def process_bind_param(self, value: tuple[Budget, ...] | None, dialect: Dialect) -> Any:
        return [one.model_dump(mode="json") for one in value or ()]

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[Budget, ...]:
        return tuple(Budget.model_validate(one) for one in value or ())


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        int: BigInteger(),
        bytes: LargeBinary(),
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
        tuple[Budget, ...]: BudgetsType(),
    }


MACHINERY: Final = tuple(table.to_metadata(Base.metadata) for table in (outbox_table, inbox_table, parked_table))
