"""What an account is and may use: price books, plans, grants, budgets, overage."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from ledger.tables.base import Instant, metadata

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
    Column("frozen", Boolean, nullable=False, server_default="false", comment="by an operator, beside auth's state"),
    Column("head", LargeBinary, comment="the hash of the newest transfer"),
    Column("arming", Integer, nullable=False),
    Column("armed_base", BigInteger, nullable=False),
    Column("armed_unit", Text, nullable=False),
    Column("crossed", ARRAY(Text), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("armed_tokens", BigInteger, nullable=False, server_default="0"),
    Column("armed_requests", BigInteger, nullable=False, server_default="0"),
    Column("levels", Text, comment="the customer's own thresholds as JSON; None: the usual ones"),
    Column("markup_bps", Integer, comment="agreed with this customer, instead of the plan's or the price book's"),
    Column("settings_version", BigInteger, nullable=False, server_default="0"),
    Column("overage_ceiling_nano", BigInteger),
    Column("has_payment_method", Boolean, nullable=False, server_default="false"),
    Column("payment_problem", Text, comment="why billing can charge nothing, as JSON; None: it can, or never tried"),
    Column("period_start", Instant, comment="the running period, and below what was used in it"),
    Column("period_end", Instant),
    Column("period_calls", BigInteger, nullable=False, server_default="0"),
    Column("period_tokens", BigInteger, nullable=False, server_default="0"),
    Column("period_value_nano", BigInteger, nullable=False, server_default="0"),
    Column("period_overage_nano", BigInteger, nullable=False, server_default="0"),
    Column("overage_carry", BigInteger, nullable=False, server_default="0", comment="less than one unit of a meter"),
    Column("due_at", Instant, comment="when time alone changes something next"),
    Column(
        "has_budgets", Boolean, nullable=False, server_default="false", comment="set by the first budget, and left so"
    ),
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
    Column("burnt", BigInteger, nullable=False, server_default="0", comment="what calls used"),
    Column("expired", BigInteger, nullable=False, server_default="0", comment="what went to breakage"),
    Column("rolled", BigInteger, nullable=False, server_default="0", comment="what went on into the next period"),
    Column("is_withdrawn", Boolean, nullable=False, server_default="false", comment="taken back before it started"),
    Index("uq_grant_account_id_rule_period", "account_id", "rule", "period", unique=True),
    comment="Amounts given to accounts; `remaining` is what the transfers leave of them.",
)

overage_accrual: Final = Table(
    "overage_accrual",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("plan_id", Text, primary_key=True),
    Column("plan_version", Integer, primary_key=True, autoincrement=False),
    Column("hour", Instant, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("collect", Text, nullable=False),
    Column("nano_per_1k_tokens", BigInteger),
    Column("amount_nano", BigInteger, nullable=False),
    Column("is_late", Boolean, nullable=False),
    Column("announced_at", Instant),
    comment="Overage by hour, announced once the hour is over; what comes later has the next sequence.",
)

budget: Final = Table(
    "budget",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("scope_id", Uuid, primary_key=True),
    Column("window", Text, primary_key=True),
    Column("limit_nano", BigInteger, nullable=False),
    Column("spent_nano", BigInteger, nullable=False),
    Column("window_start", Instant, comment="of the window that `spent_nano` counts"),
    comment="What accounts, members, projects and API keys may spend, as auth last said.",
)

budget_owner: Final = Table(
    "budget_owner",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("scope_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    comment="Whose budgets were applied up to which version of auth's row.",
)

reannouncement: Final = Table(
    "reannouncement",
    metadata,
    Column("price_book_version", Integer, primary_key=True, autoincrement=False),
    Column("after_account_id", Uuid, comment="accounts up to this one have heard"),
    Column("finished_at", Instant),
    comment="How far a new price book's markup has been announced to the accounts that are subject to it.",
)

account_hold: Final = Table(
    "account_hold",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False, index=True),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("n", BigInteger, Identity(always=True), nullable=False, comment="rises with each act on an account"),
    comment="Who froze and thawed accounts, and why; what holds now stands on the account.",
)
