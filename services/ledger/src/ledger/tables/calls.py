"""Calls and what moved for them: charges, their detail, daily sums, transfers and the seals of the chain."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from ledger.tables.base import Instant, metadata

charge: Final = Table(
    "charge",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("price_nano", BigInteger, nullable=False),
    Column("cost_nano", BigInteger, nullable=False),
    Column("unit", Text, nullable=False),
    Column("price_book_version", Integer, nullable=False),
    Column("plan_id", Text),
    Column("plan_version", Integer),
    Column("markup_bps", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("admitted_at", Instant, nullable=False),
    Column("booked_at", Instant, nullable=False),
    Column("plan_tokens", BigInteger, nullable=False, server_default="0", comment="what of it plan tokens paid"),
    Column("plan_requests", BigInteger, nullable=False, server_default="0"),
    Column("overage_nano", BigInteger, nullable=False, server_default="0", comment="what of the price is billed later"),
    Column("recognised_nano", BigInteger, nullable=False, server_default="0", comment="what of it is revenue"),
    Column("booked_xid", BigInteger, comment="who may still change the row: the transaction that wrote it (xid8)"),
    comment="One row per call, zero prices included: the dedupe of usage events, kept as long as the books.",
    postgresql_partition_by="RANGE (id)",
)

usage_day: Final = Table(
    "usage_day",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("plan_id", Text, primary_key=True, server_default="", comment="'' is none"),
    Column("model", Text, primary_key=True),
    *(Column(name, Uuid, primary_key=True, comment="nil is none") for name in ("project_id", "api_key_id", "user_id")),
    *(
        Column(name, BigInteger, nullable=False)
        for name in (
            "calls",
            "failed",
            "input_tokens",
            "cache_write_5m_tokens",
            "cache_write_1h_tokens",
            "cache_read_tokens",
            "output_tokens",
            "price_nano",
            "value_nano",
            "plan_tokens",
            "plan_requests",
            "overage_nano",
            "cost_nano",
            "recognised_nano",
        )
    ),
    comment="What calls add up to by the UTC day of their admission; stays when their detail is archived.",
)

operation_key: Final = Table(
    "operation_key",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_sha256", LargeBinary, nullable=False),
    Column("charge_id", Uuid, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("claimed_at", Instant, nullable=False),
    comment="The first use of each idempotency key of customers' own operations, kept as long as the books.",
)

usage_detail: Final = Table(
    "usage_detail",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, primary_key=True),
    Column("project_id", Uuid),
    Column("user_id", Uuid),
    Column("api_key_id", Uuid),
    Column("gateway_instance", Text, nullable=False),
    Column("surface", Text, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("model_asked", Text, nullable=False),
    Column("model_served", Text),
    Column("route", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("basis", Text, nullable=False),
    Column("http_status", Integer),
    Column("error_type", Text),
    Column("input_tokens", Integer, nullable=False),
    Column("cache_write_5m_tokens", Integer, nullable=False),
    Column("cache_write_1h_tokens", Integer, nullable=False),
    Column("cache_read_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("web_search_requests", Integer, nullable=False),
    Column("web_fetch_requests", Integer, nullable=False),
    Column("code_execution_requests", Integer, nullable=False),
    Column("iterations", JSONB),
    Column("operation", JSONB, comment="a customer's own operation instead of a model call"),
    Column("service_tier", Text),
    Column("inference_geo", Text),
    Column("speed", Text),
    Column("admitted_at", Instant, nullable=False),
    Column("first_byte_at", Instant),
    Column("ended_at", Instant, nullable=False),
    Column("allocation", JSONB),
    Column("attempts", Integer, nullable=False),
    Column("upstream_request_id", Text),
    Column("first_seq", BigInteger, nullable=False, comment="the call's transfers stand from here"),
    Column("last_seq", BigInteger, nullable=False, comment="to here"),
    comment="What the list of calls shows; archived after 90 days, charges stay.",
    postgresql_partition_by="RANGE (id)",
)

transfer: Final = Table(
    "transfer",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("charge_id", Uuid),
    Column("grant_id", Uuid),
    Column("reference", Text),
    Column("balance_after", BigInteger, comment="usable credits less debt, as booked; None on the platform's side"),
    Column("booked_at", Instant, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("hash", LargeBinary, comment="over the one before and this row"),
    comment="Movements between ledger accounts; rows are only ever inserted.",
)

sealed_head: Final = Table(
    "sealed_head",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("balance_nano", BigInteger, nullable=False),
    Column("sealed_at", Instant, nullable=False),
    comment="Where an account's chain stood at the end of a UTC day on which it moved; only ever inserted.",
)

sealed_day: Final = Table(
    "sealed_day",
    metadata,
    Column("day", Date, primary_key=True),
    Column("next_account", Uuid, comment="where sealing goes on after an interruption"),
    Column("is_done", Boolean, nullable=False),
    comment="The days whose heads are sealed.",
)

balance_mark: Final = Table(
    "balance_mark",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("booked_at", Instant, nullable=False),
    Column("sums", JSONB, nullable=False),
    comment="What an account's transfers up to `seq` add up to; none of them was booked after `booked_at`.",
)
