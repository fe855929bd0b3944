"""Places in lists that are ordered by instant and id."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from kit.errors import InvalidError
from kit.paging import decode_cursor, decode_instant, encode_cursor


class Placed(Protocol):
    """Something with a place in such a list."""

    @property
    def id(self) -> UUID: ...

    @property
    def created_at(self) -> datetime: ...


P = TypeVar("P", bound=Placed)


def position(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    created_at, item_id = decode_cursor(cursor, parts=2)
    try:
        return decode_instant(created_at), UUID(str(item_id))
    except ValueError:
        raise InvalidError("The cursor is not one of ours.", field="cursor") from None


def next_cursor(found: Sequence[P], limit: int) -> str | None:
    """`found` holds one more than `limit` when there is a next page."""
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return encode_cursor(last.created_at.isoformat(), str(last.id))
