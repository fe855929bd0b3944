"""Rows as they leave in files: one column per fact, text that no spreadsheet takes for a formula."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from io import StringIO
from typing import Any, Final, Literal

Kind = Literal["text", "integer", "instant", "json"]
What = Literal["transactions", "requests"]

COLUMNS: Final[Mapping[What, Mapping[str, Kind]]] = {
    "transactions": {
        "sequence": "integer",
        "type": "text",
        "unit": "text",
        "amount": "text",
        "balance_after": "text",
        "grant_id": "text",
        "request_id": "text",
        "reference": "text",
        "effective_at": "instant",
        "created_at": "instant",
    },
    "requests": {
        "id": "text",
        "admitted_at": "instant",
        "ended_at": "instant",
        "outcome": "text",
        "basis": "text",
        "model": "text",
        "model_asked": "text",
        "http_status": "integer",
        "project_id": "text",
        "api_key_id": "text",
        "user_id": "text",
        "input_tokens": "integer",
        "cache_write_5m_tokens": "integer",
        "cache_write_1h_tokens": "integer",
        "cache_read_tokens": "integer",
        "output_tokens": "integer",
        "plan_tokens": "integer",
        "price_credits": "text",
    },
}
# What customers wrote themselves: amounts begin with a sign by right.
_FOREIGN: Final = frozenset({"reference", "model", "model_asked", "outcome", "basis"})
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_header(columns: Iterable[str]) -> str:
    return _line(columns)


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(_line(_cell(name, row[name]) for name in columns) for row in rows)


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return f"'{text}" if name in _FOREIGN and text.startswith(_FORMULA) else text


def _line(cells: Iterable[str]) -> str:
    written = StringIO()
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    return written.getvalue()
