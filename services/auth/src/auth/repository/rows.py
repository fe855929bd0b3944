"""From rows to the domain's records, column by column."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Executable, Table
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

R = TypeVar("R")


def columns(row: type[Any], record: type[Any]) -> list[Any]:
    """The columns that a record is made of; both share their names."""
    return [getattr(row, field.name) for field in fields(record)]


def values(record: Any) -> dict[str, Any]:
    """A record's fields, as they are."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def named(row: type[Any], record: type[Any], *, prefix: str) -> list[Any]:
    """The same under other names, where a statement reads several records at once."""
    return [column.label(prefix + column.name) for column in plain_columns(row, record)]


def made(record: type[R], row: Any, *, prefix: str = "") -> R:
    values = {field.name: getattr(row, prefix + field.name) for field in fields(record)}  # type: ignore[arg-type]  # a dataclass
    return record(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def table(row: type[DeclarativeBase]) -> Table:
    """For what is written so often that the statement is built once, and no business of the ORM."""
    return row.metadata.tables[row.__tablename__]


def plain_columns(row: type[Any], record: type[Any]) -> list[Any]:
    """The same of the table itself, for statements that are built once and are no business of the ORM."""
    return [row.__table__.c[field.name] for field in fields(record)]


async def find(
    session: AsyncSession, statement: Executable, record: type[R], given: Mapping[str, object] | None = None
) -> R | None:
    """`given` are the parameters of a statement that was built before."""
    row = (await session.execute(statement, given)).one_or_none()
    return None if row is None else made(record, row)


async def listed(session: AsyncSession, statement: Executable, record: type[R]) -> list[R]:
    return [made(record, row) for row in await session.execute(statement)]
