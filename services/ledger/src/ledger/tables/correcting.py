"""What corrects and proves the books: re-rating, reconciliation, the archive."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, Numeric, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from ledger.tables.base import Instant, metadata

rerate_run: Final = Table(
    "rerate_run",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("price_book_version", Integer, nullable=False),
    Column("window_start", Instant, nullable=False),
    Column("window_end", Instant, nullable=False),
    Column("account_id", Uuid),
    Column("after_account_id", Uuid),
    Column("after_call_id", Uuid),
    Column("charges", BigInteger, nullable=False),
    Column("corrected", BigInteger, nullable=False),
    Column("price_nano", Numeric(38, 0), nullable=False),
    Column("cost_nano", Numeric(38, 0), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    comment="Re-ratings, how far each has come, and what it moved so far.",
)

charge_correction: Final = Table(
    "charge_correction",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("call_id", Uuid, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("run_id", Uuid, nullable=False),
    Column("price_book_version", Integer, nullable=False),
    Column("price_nano", BigInteger, nullable=False),
    Column("cost_nano", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("booked_at", Instant, nullable=False),
    comment="Corrections of charges: a call is worth what its last one says. Rows are only ever inserted.",
)

calls_counted: Final = Table(
    "calls_counted",
    metadata,
    Column("gateway_instance", Text, primary_key=True),
    Column("window_start", Instant, primary_key=True),
    Column("window_end", Instant, nullable=False),
    Column("admitted", BigInteger, nullable=False),
    comment="What each gateway admitted, per minute, as it counted itself.",
)

reconciliation: Final = Table(
    "reconciliation",
    metadata,
    Column("gateway_instance", Text, primary_key=True),
    Column("window_start", Instant, primary_key=True),
    Column("window_end", Instant, primary_key=True),
    Column("admitted", BigInteger, nullable=False),
    Column("booked", BigInteger, nullable=False),
    Column("parked", BigInteger, nullable=False),
    Column("set_aside", BigInteger, nullable=False),
    Column("silent_minutes", Integer, nullable=False),
    Column("missing", ARRAY(Uuid), nullable=False),
    Column("is_equal", Boolean, nullable=False),
    Column("unreachable", ARRAY(Text), nullable=False),
    Column("checked_at", Instant, nullable=False),
    comment="Whether what gateways admitted is in the books, per instance and window (money.md 31).",
)

archive_manifest: Final = Table(
    "archive_manifest",
    metadata,
    Column("name", Text, primary_key=True),
    Column("first_id", Uuid, nullable=False, index=True),
    Column("end_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("content_sum", Numeric(38, 0), nullable=False),
    Column("archived_at", Instant, nullable=False),
    Column("dropped_at", Instant),
    comment="Which file holds the usage detail of which ids, once it has left the database.",
)
