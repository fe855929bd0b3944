"""The ledger's tables as SQLAlchemy sees them; the migrations make them, with checks, partitions and triggers."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from kit.tables import NAMING, idempotency_table, inbox_table, outbox_table, parked_table

metadata: Final = MetaData(naming_convention=NAMING)

for machinery in (outbox_table, inbox_table, parked_table, idempotency_table):
    machinery.to_metadata(metadata)

Instant: Final = DateTime(timezone=True)

price_book: Final = Table(
    "price_book",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("effective_at", Instant, nullable=False),
    Column("published_at", Instant, nullable=False),
    Column("source_digest", LargeBinary, nullable=False),
    Column("body", JSONB, nullable=False),
    comment="Versions of all prices; never edited, a new one supersedes.",
)

plan: Final = Table(
    "plan",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("is_default", Boolean, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("body", JSONB, nullable=False),
    comment="Plan versions as billing published them.",
)

account: Final = Table(
    "account",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("auth_version", BigInteger, nullable=False),
    Column("plan_id", Text),
    Column("plan_version", Integer),
    Column("subscription_id", Text),
    Column("activated_at", Instant),
    Column("debt_nano", BigInteger, nullable=False),
    Column("transfer_seq", BigInteger, nullable=False),
    Column("head", LargeBinary, comment="room for the hash of the newest transfer (chain)"),
    Column("arming", Integer, nullable=False),
    Column("armed_base", BigInteger, nullable=False),
    Column("armed_unit", Text, nullable=False),
    Column("crossed", ARRAY(Text), nullable=False),
    Column("created_at", Instant, nullable=False),
    comment="Paying parties: the row that is locked before anything of the account changes.",
)

subscription: Final = Table(
    "subscription",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("account_id", Uuid, nullable=False, index=True),
    Column("version", BigInteger, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("plan_version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),
    comment="Subscriptions as billing last described them.",
)

grant: Final = Table(
    "grant",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("source", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("rule", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("payment_id", Text),
    Column("paid_minor", BigInteger),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("account_id", "rule", "period"),
    comment="Amounts given to accounts; `remaining` is what the transfers leave of them.",
)

payment: Final = Table(
    "payment",
    metadata,
    Column("payment_id", Text, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("offer_id", Text, nullable=False),
    Column("subscription_id", Text),
    Column("grant_id", Uuid),
    Column("unit", Text, nullable=False),
    Column("grant_amount", BigInteger, nullable=False),
    Column("paid_minor", BigInteger, nullable=False),
    Column("fee_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("settled_at", Instant, nullable=False),
    comment="Settled payments, each granted at most once.",
)

reversal: Final = Table(
    "reversal",
    metadata,
    Column("reversal_id", Text, primary_key=True),
    Column("payment_id", Text, nullable=False, index=True),
    Column("account_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("reversed_minor", BigInteger, nullable=False),
    Column("taken_amount", BigInteger, nullable=False),
    Column("taken_debt", BigInteger, nullable=False),
    Column("booked_at", Instant, nullable=False),
    comment="Refunds and disputes, and what each took from its grant and made debt.",
)

adjustment: Final = Table(
    "adjustment",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False, index=True),
    Column("amount_nano", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor_user_id", Uuid, nullable=False),
    Column("allow_debt", Boolean, nullable=False),
    Column("grant_id", Uuid),
    Column("created_at", Instant, nullable=False),
    comment="What operators changed, who and why.",
)

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
    comment="One row per call, zero prices included: the dedupe of usage events, kept as long as the books.",
    postgresql_partition_by="RANGE (id)",
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
    Column("iterations", JSONB),
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
    Column("hash", LargeBinary, comment="room for the chain"),
    comment="Movements between ledger accounts; rows are only ever inserted.",
)
