"""A cursor comes back as the position that it was made of, or is refused."""

import base64
from contextlib import suppress
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import InvalidError
from kit.paging import decode_cursor, encode_cursor


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
