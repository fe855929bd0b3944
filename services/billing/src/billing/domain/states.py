"""The objects of Stripe that billing acts on, as they are now, without the vendor's shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from billing.domain.payment_methods import Card, Wallet
from contracts.billing import SubscriptionStatus


@dataclass(frozen=True, slots=True)
class Intent:
    """A payment: what was taken and what Stripe kept of it; `fee_minor` is None until Stripe knows.

    `attempt_id` names the attempt of ours that it is, where nobody was there to pay; `card` is what was declined.
    """

    id: str
    status: str
    received_minor: int
    currency: str
    fee_minor: int | None
    failure: str | None = None
    customer: str | None = None
    amount_minor: int = 0
    attempt_id: str | None = None
    card: Card | None = None


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
    currency: str | None
    expires_at: datetime
    price_id: str | None
    quantity: int
    subscription_id: str | None
    invoice_id: str | None
    intent: Intent | None
    tax_minor: int = 0

    @property
    def untaxed_minor(self) -> int:
        return self.total_minor - self.tax_minor


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription with the period of its item.

    `kept` is what still holds until the running period's end, when the price is changed for the next one already.
    """

    id: str
    customer: str
    metadata: Mapping[str, str]
    price_id: str
    status: SubscriptionStatus
    period_start: datetime
    period_end: datetime
    cancel_at_period_end: bool
    item_id: str = ""
    quantity: int = 1
    trial_end: datetime | None = None
    kept: "Kept | None" = None


@dataclass(frozen=True, slots=True)
class Kept:
    """The plan that was paid for, until the period's end."""

    plan_id: str
    version: int
    quantity: int
    until: datetime

    @property
    def metadata(self) -> dict[str, str]:
        """As it stands on the subscription in Stripe."""
        return {
            "kept_plan": self.plan_id,
            "kept_version": str(self.version),
            "kept_quantity": str(self.quantity),
            "kept_until": str(int(self.until.timestamp())),
        }

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> "Kept | None":
        if "kept_plan" not in metadata:
            return None
        until = datetime.fromtimestamp(int(metadata["kept_until"]), tz=UTC)
        return cls(metadata["kept_plan"], int(metadata["kept_version"]), int(metadata["kept_quantity"]), until)


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """What a line asks for, with the real boundaries of its period; a proration pays for a part of one.

    `inside_minor` of it are taxes, where a price has them inside; what comes on top is no part of a line.
    """

    price_id: str | None
    amount_minor: int
    period_start: datetime
    period_end: datetime
    quantity: int
    is_proration: bool
    description: str
    inside_minor: int = 0


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice with its lines and the payment that paid it, or tried to."""

    id: str
    customer: str
    subscription_id: str | None
    metadata: Mapping[str, str]
    status: str
    attempts: int
    due_minor: int
    paid_minor: int
    currency: str
    lines: tuple[InvoiceLine, ...]
    intent: Intent | None
    number: str | None
    total_minor: int
    tax_minor: int
    pdf_url: str | None
    page_url: str | None
    created_at: datetime

    @property
    def payment_id(self) -> str:
        """The payment intent; an invoice that needed no money stands for itself."""
        return self.intent.id if self.intent else self.id


@dataclass(frozen=True, slots=True)
class CreditNote:
    """What was taken off an invoice after it was finalised."""

    id: str
    customer: str
    invoice_id: str
    number: str | None
    status: str
    reason: str | None
    currency: str
    total_minor: int
    pdf_url: str | None
    created_at: datetime


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
    attempt: Intent | None = None
    credit_note: CreditNote | None = None
    wallet: tuple[str, Wallet] | None = None
    """A customer, and the ways to pay that are kept for it."""
    wrong_use: tuple[tuple[str, str], ...] = ()
    """Identifiers of meter events that Stripe did not count, each with its reason."""
