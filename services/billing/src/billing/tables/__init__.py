"""Billing's tables; amounts are integers, instants are UTC."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from billing.tables import overage as _overage  # noqa: F401  # its tables are part of the same metadata
from billing.tables.base import Base


class AccountRow(Base):
    """A paying party, as auth announced it; its lock orders what we say about it."""

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    owner_user_id: Mapped[UUID]
    created_at: Mapped[datetime]


class OfferRow(Base):
    """An offer and whether the present catalogue still has it."""

    __tablename__ = "offer"
    __table_args__ = (CheckConstraint("kind IN ('plan', 'bundle', 'top_up')", name="kind_known"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    on_sale: Mapped[bool]
    position: Mapped[int] = mapped_column(Integer)


class OfferVersionRow(Base):
    """What an offer costs and gives from `effective_at` on; rows are only ever inserted."""

    __tablename__ = "offer_version"
    __table_args__ = (CheckConstraint("version > 0", name="version_positive"),)

    offer_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str]
    digest: Mapped[str]
    currency: Mapped[str]
    spec: Mapped[dict[str, Any]]
    effective_at: Mapped[datetime]
    published_at: Mapped[datetime]


class StripePriceRow(Base):
    """The price in Stripe that stands for a version of an offer; without a currency it is in the version's own."""

    __tablename__ = "stripe_price"
    __table_args__ = (Index(None, "offer_id", "version", "currency", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[str]
    offer_id: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)
    currency: Mapped[str] = mapped_column(server_default="")


class StripeObjectRow(Base):
    """Something of ours in Stripe of which there is one, such as the portal's configuration."""

    __tablename__ = "stripe_object"

    name: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str]


class StripeCustomerRow(Base):
    """The one customer in Stripe of an account."""

    __tablename__ = "stripe_customer"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)


class CheckoutRow(Base):
    """A checkout that an account began; its session's id is empty until Stripe has answered."""

    __tablename__ = "checkout"
    __table_args__ = (
        CheckConstraint("status IN ('opening', 'open', 'complete', 'expired')", name="status_known"),
        Index(None, "account_id", "idempotency_key", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    idempotency_key: Mapped[str]
    offer_id: Mapped[str | None]
    version: Mapped[int | None] = mapped_column(Integer)
    currency: Mapped[str] = mapped_column(server_default="usd")
    quantity: Mapped[int] = mapped_column(Integer, server_default="1")
    amount_minor: Mapped[int | None]
    is_taxed: Mapped[bool] = mapped_column(server_default="false")
    mode: Mapped[str]
    success_url: Mapped[str]
    cancel_url: Mapped[str]
    status: Mapped[str]
    session_id: Mapped[str | None] = mapped_column(unique=True)
    payment_id: Mapped[str | None]
    subscription_id: Mapped[str | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class SubscriptionRow(Base):
    """A subscription as Stripe has it; `version` grows with each change.

    A local one is not Stripe's: an account that pays per use, whose periods run from `anchor_at`.
    """

    __tablename__ = "subscription"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    version: Mapped[int] = mapped_column(Integer)
    plan_id: Mapped[str]
    plan_version: Mapped[int] = mapped_column(Integer)
    status: Mapped[str]
    current_period_start: Mapped[datetime]
    current_period_end: Mapped[datetime]
    cancel_at_period_end: Mapped[bool]
    currency: Mapped[str] = mapped_column(server_default="usd")
    quantity: Mapped[int] = mapped_column(Integer, server_default="1")
    pending_plan_id: Mapped[str | None]
    pending_plan_version: Mapped[int | None] = mapped_column(Integer)
    pending_quantity: Mapped[int | None] = mapped_column(Integer)
    trial_end: Mapped[datetime | None]
    past_due_since: Mapped[datetime | None]
    told_status: Mapped[str | None]
    grace_until: Mapped[datetime | None]
    is_local: Mapped[bool] = mapped_column(server_default="false")
    anchor_at: Mapped[datetime | None]


class PaymentRow(Base):
    """A payment that was settled or has failed so far; the id is Stripe's payment intent."""

    __tablename__ = "payment"
    __table_args__ = (
        CheckConstraint("status IN ('settled', 'failed')", name="status_known"),
        CheckConstraint("amount_minor >= 0 AND fee_minor >= 0 AND grant_nano >= 0", name="amounts_not_negative"),
        Index(None, "account_id", "created_at", "id"),
        Index("ix_payment_subscription_id", "subscription_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    kind: Mapped[str]
    status: Mapped[str]
    offer_id: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)
    subscription_id: Mapped[str | None]
    amount_minor: Mapped[int]
    tax_minor: Mapped[int] = mapped_column(server_default="0")
    currency: Mapped[str]
    fee_minor: Mapped[int]
    fee_known: Mapped[bool]
    grant_nano: Mapped[int]
    failures: Mapped[int] = mapped_column(Integer)
    failure: Mapped[str | None]
    card_brand: Mapped[str | None]
    card_last4: Mapped[str | None]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]


class ReversalRow(Base):
    """Money that went back, or came back, once per refund and per step of a dispute."""

    __tablename__ = "reversal"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(index=True)
    amount_minor: Mapped[int]
    created_at: Mapped[datetime]


class WebhookEventRow(Base):
    """An event of Stripe's, stored before it is acknowledged; its content stays with Stripe."""

    __tablename__ = "webhook_event"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'applied', 'ignored', 'failed')", name="state_known"),
        Index("ix_webhook_event_pending", "due_at", postgresql_where=text("state = 'pending'")),
        Index("ix_webhook_event_failed", "received_at", postgresql_where=text("state = 'failed'")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    object_id: Mapped[str]
    lease_key: Mapped[str]
    created_at: Mapped[datetime]
    received_at: Mapped[datetime]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    due_at: Mapped[datetime]
    reason: Mapped[str | None]


class LeaseRow(Base):
    """Who works on a customer's events; the fencing number tells a holder that was overtaken."""

    __tablename__ = "lease"

    key: Mapped[str] = mapped_column(primary_key=True)
    fence: Mapped[int]
    held_until: Mapped[datetime]


class PollRow(Base):
    """How far Stripe's list of events has been read; one row."""

    __tablename__ = "poll"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    seen_until: Mapped[datetime]


class AccountSettingsRow(Base):
    """What an account has set about its money, what stands in its way, and what was told of it last."""

    __tablename__ = "account_settings"
    __table_args__ = (
        Index("ix_account_settings_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_account_settings_use_look_at", "use_look_at", postgresql_where=text("use_look_at IS NOT NULL")),
        Index("ix_account_settings_top_up", "top_up_look_at", postgresql_where=text("top_up_below_nano IS NOT NULL")),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(server_default="0")
    payment_method_id: Mapped[str | None]
    overage_ceiling_nano: Mapped[int | None]
    top_up_below_nano: Mapped[int | None]
    top_up_amount_minor: Mapped[int | None]
    top_up_day_minor: Mapped[int | None]
    top_up_month_minor: Mapped[int | None]
    top_up_paused: Mapped[str | None]
    top_up_look_at: Mapped[datetime | None]
    top_up_low_since: Mapped[datetime | None]
    use_blocked: Mapped[str | None]
    use_look_at: Mapped[datetime | None]
    told: Mapped[str | None]
    due_at: Mapped[datetime | None]


class PathFlagRow(Base):
    """Whether a paid path is open, for all (scope `*`) or for one account."""

    __tablename__ = "path_flag"

    path: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    is_open: Mapped[bool]
    changed_at: Mapped[datetime]


class SwitchRow(Base):
    """What the operator has switched on or off for everybody."""

    __tablename__ = "switch"

    name: Mapped[str] = mapped_column(primary_key=True)
    is_on: Mapped[bool]
    changed_at: Mapped[datetime]


class AuditRow(Base):
    """What an operator changed, and why; rows are only ever inserted."""

    __tablename__ = "audit_record"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    reason: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    recorded_at: Mapped[datetime]


class ChargeAttemptRow(Base):
    """A payment that we ask for while nobody is there; its id is made before the first try and names it in Stripe.

    Where it `is_taxed`, a calculation of Stripe's says how much comes on top; it is kept before anything is asked for.
    """

    __tablename__ = "charge_attempt"
    __table_args__ = (
        Index("uq_charge_attempt_open", "account_id", "purpose", unique=True, postgresql_where=text("state = 'open'")),
        Index("ix_charge_attempt_due", "next_try_at", postgresql_where=text("state = 'open'")),
        Index("ix_charge_attempt_waiting", "account_id", postgresql_where=text("state = 'needs_action'")),
        Index("ix_charge_attempt_account_id", "account_id", "purpose", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    purpose: Mapped[str]
    offer_id: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)
    amount_minor: Mapped[int]
    is_taxed: Mapped[bool] = mapped_column(server_default="false")
    tax_minor: Mapped[int] = mapped_column(server_default="0")
    tax_calculation: Mapped[str | None]
    currency: Mapped[str]
    payment_method_id: Mapped[str]
    state: Mapped[str]
    payment_id: Mapped[str | None] = mapped_column(unique=True)
    failure: Mapped[str | None]
    card_brand: Mapped[str | None]
    card_last4: Mapped[str | None]
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    next_try_at: Mapped[datetime]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class OwedUseRow(Base):
    """An hour of use that is paid afterwards; `attempt_id` is the payment that collects it."""

    __tablename__ = "owed_use"
    __table_args__ = (
        Index("ix_owed_use_open", "account_id", postgresql_where=text("attempt_id IS NULL")),
        Index("ix_owed_use_attempt_id", "attempt_id", postgresql_where=text("attempt_id IS NOT NULL")),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    plan_id: Mapped[str] = mapped_column(primary_key=True)
    plan_version: Mapped[int] = mapped_column(Integer, primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True)
    amount_nano: Mapped[int]
    attempt_id: Mapped[UUID | None]


class UseCarryRow(Base):
    """What collected hours left of a cent, for the next payment."""

    __tablename__ = "use_carry"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    carry_nano: Mapped[int]


class InvoiceRow(Base):
    """Stripe's invoice as it is; `lines` as shown to the customer."""

    __tablename__ = "invoice"
    __table_args__ = (Index(None, "account_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    subscription_id: Mapped[str | None]
    number: Mapped[str | None]
    status: Mapped[str]
    currency: Mapped[str]
    total_minor: Mapped[int]
    tax_minor: Mapped[int]
    paid_minor: Mapped[int]
    payment_id: Mapped[str | None]
    pdf_url: Mapped[str | None]
    page_url: Mapped[str | None]
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    created_at: Mapped[datetime]


class CreditNoteRow(Base):
    """Stripe's credit note as it is."""

    __tablename__ = "credit_note"
    __table_args__ = (Index(None, "account_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    invoice_id: Mapped[str]
    number: Mapped[str | None]
    status: Mapped[str]
    reason: Mapped[str | None]
    currency: Mapped[str]
    total_minor: Mapped[int]
    pdf_url: Mapped[str | None]
    created_at: Mapped[datetime]
