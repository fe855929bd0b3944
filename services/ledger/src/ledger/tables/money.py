"""Money that came in or went back, what operators and promotions gave, and who did what."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from ledger.tables.base import Instant, metadata

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

promo_code: Final = Table(
    "promo_code",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("code", Text, nullable=False, unique=True),
    Column("unit", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("valid_days", Integer),
    Column("most", Integer),
    Column("redeemed", Integer, nullable=False),
    Column("expires_at", Instant),
    Column("reason", Text, nullable=False),
    Column("actor_user_id", Uuid, nullable=False),
    Column("created_at", Instant, nullable=False),
    comment="Codes that give a grant; `most` is how many accounts may redeem one.",
)

promo_redemption: Final = Table(
    "promo_redemption",
    metadata,
    Column("promo_id", Uuid, primary_key=True),
    Column("account_id", Uuid, primary_key=True),
    Column("grant_id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("redeemed_at", Instant, nullable=False),
    comment="Who redeemed which code: each account once.",
)

audit_record: Final = Table(
    "audit_record",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid),
    Column("actor_user_id", Uuid, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("reason", Text),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("recorded_at", Instant, nullable=False),
    comment="Writes by people, with actor and reason; rows are only ever inserted.",
)

margin_watch: Final = Table(
    "margin_watch",
    metadata,
    Column("day", Date, primary_key=True),
    Column("checked_at", Instant, nullable=False),
    comment="Days whose margins were compared with the operator's floor.",
)
