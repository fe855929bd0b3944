"""Rows of a table in text (RFC 4180) that a spreadsheet shows and does not compute."""

import csv
import io
from collections.abc import Iterable
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def table_row(values: Iterable[object]) -> str:
    """What people wrote could begin a formula; an apostrophe makes it text."""
    written = io.StringIO()
    csv.writer(written).writerow(
        f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value for value in values
    )
    return written.getvalue()
