"""A cursor comes back as the position that it was made of, or is refused."""

import base64
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from kit.errors import InvalidError
from kit.paging import Moment, decode_cursor, decode_instant, encode_cursor


def test_a_cursor_holds_its_position_and_needs_no_escaping() -> None:
    identifier = uuid4()

    cursor = encode_cursor("2026-11-21T12:00:00+00:00", identifier, 1 << 62)

    assert decode_cursor(cursor, parts=3) == ["2026-11-21T12:00:00+00:00", str(identifier), 1 << 62]
    assert not set(cursor) & set("=+/&?% ")


@pytest.mark.parametrize(
    "forged",
    ["", "x", "é", "====", "null", base64.urlsafe_b64encode(b"{}").decode(), encode_cursor(1), encode_cursor(1, 2, 3)],
)
def test_a_cursor_that_is_not_ours_is_refused_by_field(forged: str) -> None:
    with pytest.raises(InvalidError) as refused:
        decode_cursor(forged, parts=2)
    assert refused.value.field == "cursor"


@given(st.text(max_size=512))
def test_any_text_is_a_position_or_refused(text: str) -> None:
    with suppress(InvalidError):
        assert len(decode_cursor(text, parts=1)) == 1


@pytest.mark.parametrize("part", ["yesterday", "2026-01-01T00:00:00", "9999-12-31T23:59:59-14:00", None, 5])
def test_an_instant_in_a_cursor_that_is_not_ours_is_refused(part: object) -> None:
    with pytest.raises(InvalidError):
        decode_instant(part)


def test_a_cursor_with_a_nul_is_refused() -> None:
    with pytest.raises(InvalidError):
        decode_cursor(encode_cursor("a\x00"), parts=1)


@pytest.mark.parametrize("text", ["0.5", "1e10", "2026-01-01T00:00:00", "0001-01-01T00:00:00Z"])
def test_a_moment_is_a_time_with_an_offset_in_a_year_that_can_be(text: str) -> None:
    moments: TypeAdapter[datetime] = TypeAdapter(Moment)
    with pytest.raises(ValidationError):
        moments.validate_python(text)
    assert moments.validate_python("2026-01-01T00:00:00Z") == datetime(2026, 1, 1, tzinfo=UTC)
