"""The objects of Stripe that billing acts on, as they are now, without the vendor's shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from contracts.billing import SubscriptionStatus


@dataclass(frozen=True, slots=True)
class Intent:
    """A payment: what was taken and what Stripe kept of it; `fee_minor` is None until Stripe knows."""

    id: str
    status: str
    received_minor: int
    currency: str
    fee_minor: int | None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """A checkout session; `account_ref` and `metadata` are what we wrote into it."""

    id: str
    url: str | None
    mode: str
    status: Literal["open", "complete", "expired"]
    paid: bool
    customer: str | None
    account_ref: str | None
    metadata: Mapping[str, str]
    total_minor: int
    currency: str
    expires_at: datetime
    price_id: str | None
    subscription_id: str | None
    invoice_id: str | None
    intent: Intent | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription with the period of its item."""

    id: str
    customer: str
    metadata: Mapping[str, str]
    price_id: str
    status: SubscriptionStatus
    period_start: datetime
    period_end: datetime
    cancel_at_period_end: bool


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """The line that pays for a period, with the period's real boundaries."""

    price_id: str
    amount_minor: int
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice of a subscription; `line` is None when it pays for no period."""

    id: str
    customer: str
    subscription_id: str | None
    metadata: Mapping[str, str]
    status: str
    attempts: int
    due_minor: int
    paid_minor: int
    currency: str
    line: InvoiceLine | None
    intent: Intent | None

    @property
    def payment_id(self) -> str:
        """The payment intent; an invoice that needed no money stands for itself."""
        return self.intent.id if self.intent else self.id


@dataclass(frozen=True, slots=True)
class Refund:
    id: str
    status: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Dispute:
    id: str
    status: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """What is kept of a webhook: which object of which customer changed, never its content."""

    id: str
    type: str
    object_id: str
    lease_key: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read again from Stripe because of one event; applied in this order."""

    subscription: Subscription | None = None
    session: CheckoutSession | None = None
    invoice: Invoice | None = None
    payment_id: str | None = None
    refunds: tuple[Refund, ...] = field(default=())
    dispute: Dispute | None = None
