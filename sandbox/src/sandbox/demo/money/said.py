"""What the ledger, billing, Stripe and the gateway each say of one customer's money, and where they differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

UNIT_NANO: Final = 1_000
"""A unit of Stripe's meter in nano-credits: a millionth of a dollar."""
HOLDING: Final = ("active", "trialing")
NO_PLAN: Final = "free"


@dataclass(frozen=True, slots=True)
class LedgerSays:
    """Its books. `granted` is what each payment gave, in the smallest part of its unit."""

    plan: str | None
    paid_minor: int
    fees: Mapping[str, int]
    granted: Mapping[str, int]
    back_minor: int
    overage_nano: int
    unannounced_nano: int
    left: Mapping[str, Decimal]
    debt: Decimal


@dataclass(frozen=True, slots=True)
class BillingSays:
    """Its rows and mirrors. `paid` is what each settled payment brought; overage is in units of Stripe's meter."""

    plan: str | None
    status: str | None
    grace_until: datetime | None
    paid: Mapping[str, int]
    fees: Mapping[str, int]
    granted: Mapping[str, int]
    back_minor: int
    invoices: Mapping[str, tuple[str, int, int]]
    use_minor: int
    heard_nano: int
    reported_units: int
    carried_nano: int


@dataclass(frozen=True, slots=True)
class StripeSays:
    """The party that moves the money. `open_units` is use that the next invoice will carry."""

    plan: str | None
    status: str | None
    paid: Mapping[str, int]
    fees: Mapping[str, int]
    back_minor: int
    invoices: Mapping[str, tuple[str, int, int]]
    use_minor: int
    counted_units: int
    invoiced_units: int
    open_units: int


@dataclass(frozen=True, slots=True)
class GatewaySays:
    """What calls are admitted by."""

    plan: str | None
    left: Mapping[str, Decimal]
    is_busy: bool


@dataclass(frozen=True, slots=True)
class Said:
    """All four at one moment of the story."""

    at: datetime
    ledger: LedgerSays
    billing: BillingSays
    stripe: StripeSays
    gateway: GatewaySays

    @property
    def plan_due(self) -> str | None:
        """The plan that the subscription's state entitles to."""
        billing = self.billing
        patient = billing.status == "past_due" and (billing.grace_until is None or self.at < billing.grace_until)
        return billing.plan if billing.status in HOLDING or patient else NO_PLAN

    def differences(self) -> list[str]:
        """Each place where two of them do not say the same."""
        return [
            f"{what}: {first} says {_shown(one)}, {second} says {_shown(other)}"
            for what, first, one, second, other in self._compared()
            if one != other
        ]

    def _compared(self) -> Iterator[tuple[str, str, object, str, object]]:
        ledger, billing, stripe, gateway = self.ledger, self.billing, self.stripe, self.gateway
        yield "the subscription", "billing", (billing.plan, billing.status), "Stripe", (stripe.plan, stripe.status)
        yield "the plan", "the ledger", ledger.plan, "billing", self.plan_due
        yield "the plan", "the ledger", ledger.plan, "the gateway", gateway.plan
        yield "payments", "billing", billing.paid, "Stripe", stripe.paid
        yield "Stripe's fees", "billing", billing.fees, "Stripe", stripe.fees
        yield "Stripe's fees", "the ledger", ledger.fees, "billing", billing.fees
        yield "what payments granted", "the ledger", ledger.granted, "billing", billing.granted
        bought = sum(billing.paid.values()) - billing.use_minor
        yield "cents paid for plans and bundles", "the ledger", ledger.paid_minor, "billing", bought
        yield "cents given back", "the ledger", ledger.back_minor, "billing", billing.back_minor
        yield "cents given back", "billing", billing.back_minor, "Stripe", stripe.back_minor
        yield "invoices", "billing", billing.invoices, "Stripe", stripe.invoices
        yield "cents paid for overage", "billing", billing.use_minor, "Stripe", stripe.use_minor
        yield from self._overage()
        yield "what is left", "the ledger", ledger.left, "the gateway", gateway.left

    def _overage(self) -> Iterator[tuple[str, str, object, str, object]]:
        ledger, billing, stripe = self.ledger, self.billing, self.stripe
        reported_nano = billing.reported_units * UNIT_NANO + billing.carried_nano
        yield "overage in nano-credits", "the ledger", ledger.overage_nano, "billing", billing.heard_nano
        yield "overage in nano-credits", "billing heard and", billing.heard_nano, "billing reported and", reported_nano
        yield "overage in millionths", "billing", billing.reported_units, "Stripe's meter", stripe.counted_units
        told = stripe.invoiced_units + stripe.open_units
        yield "overage in millionths", "Stripe's meter", stripe.counted_units, "Stripe's invoices and open period", told


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(one)}" for key, one in sorted(value.items())) + "}"
    return str(value)
