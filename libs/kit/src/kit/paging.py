"""Lists are paged by an opaque cursor: the position after the last item."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

import orjson
from fastapi import Query
from pydantic import AwareDatetime, BeforeValidator

from kit.errors import InvalidError
from kit.http import ResponseModel

T = TypeVar("T")

_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9000


def _moment(text: object) -> object:
    """Pydantic would take bare numbers too, and years that databases cannot reckon with."""
    if not isinstance(text, str):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("should be an RFC 3339 time") from None
    if not _FIRST_YEAR < moment.year < _LAST_YEAR:
        raise ValueError(f"should be a year between {_FIRST_YEAR} and {_LAST_YEAR}")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
"""A query parameter that is an instant."""
Limit = Annotated[int, Query(ge=1, le=200, description="how many items at most")]
Cursor = Annotated[str | None, Query(max_length=512, description="`next_cursor` of the page before")]


class Page(ResponseModel, Generic[T]):
    """One page; `next_cursor` is None on the last."""

    items: list[T]
    next_cursor: str | None = None


def encode_cursor(*position: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def decode_cursor(cursor: str, *, parts: int) -> list[Any]:
    """The position in a cursor; raises `InvalidError` for one that we did not make."""
    try:
        position = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        position = None
    if not isinstance(position, list) or len(position) != parts:
        raise _foreign()
    # PostgreSQL cannot take a NUL, not even to compare with.
    if any(isinstance(part, str) and "\x00" in part for part in position):
        raise _foreign()
    return position


def decode_instant(part: object) -> datetime:
    """The instant that is a part of a cursor; raises `InvalidError` for what is none."""
    try:
        instant = datetime.fromisoformat(str(part))
        if instant.tzinfo is None:
            raise _foreign()
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _foreign() from None


def _foreign() -> InvalidError:
    return InvalidError("The cursor is not one of ours.", field="cursor")
