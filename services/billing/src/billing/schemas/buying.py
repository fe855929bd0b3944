"""What billing's routes take and answer. Money and credits are decimal strings, times are RFC 3339 in UTC."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema

from billing.domain.amounts import MINOR_PER_UNIT, credit_text, money_text, parse_decimal
from billing.domain.catalogue import BundleSpec, LimitsSpec, OfferKind, TopUpSpec, kind_of
from billing.domain.offers import Terms
from billing.service.checkout import Opened, Progress
from billing.service.statements import PaymentLine, SubscriptionState, UnpaidUse
from contracts.money import NANO_PER_CREDIT, Unit
from kit.http import RequestModel, ResponseModel

Instant = Annotated[
    datetime,
    PlainSerializer(lambda value: value.astimezone(UTC).isoformat().replace("+00:00", "Z"), return_type=str),
]


def _minor(value: object) -> int:
    return parse_decimal(value, per_unit=MINOR_PER_UNIT)


def _nano(value: object) -> int:
    return parse_decimal(value, per_unit=NANO_PER_CREDIT)


MoneyText = Annotated[int, BeforeValidator(_minor), WithJsonSchema({"type": "string", "examples": ["20", "0.50"]})]
CreditText = Annotated[int, BeforeValidator(_nano), WithJsonSchema({"type": "string", "examples": ["20", "0.5"]})]
"""Decimal strings outside, integers inside."""
Seats = Annotated[int, Field(strict=True, ge=1, le=100_000)]
CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")]
ReturnUrl = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[\x21-\x7e]+$")]


class CheckoutRequest(RequestModel):
    """What to buy: an offer, or a card to be kept (`mode` "setup").

    `amount` is for the offer whose amount is free, `seats` for plans that are paid per seat. The addresses must be on
    Faregate's own origin or on the buyer's own machine (loopback).
    """

    offer: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = None
    mode: Literal["setup"] | None = None
    amount: MoneyText | None = None
    seats: Seats | None = None
    currency: CurrencyCode | None = None
    success_url: ReturnUrl | None = None
    cancel_url: ReturnUrl | None = None


class CheckoutAnswer(ResponseModel):
    session_id: str
    checkout_url: str
    expires_at: Instant

    @classmethod
    def of(cls, opened: Opened) -> "CheckoutAnswer":
        return cls(session_id=opened.session_id, checkout_url=opened.url, expires_at=opened.expires_at)


class CheckoutProgress(ResponseModel):
    """`settled` says that the payment is booked. `offer` and `mode` are shown to the account's own members only."""

    session_id: str
    status: Literal["open", "complete", "expired"]
    settled: bool
    offer: str | None = None
    mode: Literal["payment", "subscription", "setup"] | None = None

    @classmethod
    def of(cls, progress: Progress, *, whole: bool) -> "CheckoutProgress":
        values = {"session_id": progress.session_id, "status": progress.status, "settled": progress.settled}
        if whole:
            values |= {"offer": progress.offer_id, "mode": progress.mode}
        return cls.model_validate(values)


class Offer(ResponseModel):
    """A plan, a bundle, or credits for a free amount; what it gives comes once, or per period with an interval.

    `amount` counts plan tokens or calls where `unit` says so; `credits` are none then. `prices` are what it costs in
    each currency (per seat, with `per_seat`); `least` and `most` bound the free amount.
    """

    id: str
    kind: OfferKind
    name: str
    version: int
    price: str
    currency: str
    prices: dict[str, str]
    interval: Literal["none", "month", "year"]
    credits: str
    unit: Unit = Unit.CREDIT
    amount: str | None = None
    valid_days: int | None = None
    buyable: bool
    default: bool = False
    trial_days: int | None = None
    per_seat: bool = False
    seats: int | None = None
    pay_per_use: bool = False
    only_with: tuple[str, ...] = ()
    least: str | None = None
    most: str | None = None
    models: tuple[str, ...] | None = None
    limits: LimitsSpec | None = None

    @classmethod
    def of(cls, terms: Terms) -> "Offer":
        is_in_credits = terms.grant_unit is Unit.CREDIT
        values = {
            "id": terms.offer_id,
            "kind": kind_of(terms.spec),
            "name": terms.spec.name,
            "version": terms.version,
            "price": money_text(terms.price_minor),
            "currency": terms.currency,
            "prices": {currency: money_text(price_minor) for currency, price_minor in terms.prices.items()},
            "interval": terms.interval,
            "credits": credit_text(terms.grant_nano if is_in_credits else 0),
            "unit": terms.grant_unit,
            "amount": None if is_in_credits else str(terms.grant_nano),
            "valid_days": terms.valid_days,
            "buyable": terms.is_sold,
        }
        return cls.model_validate({**values, **_of_kind(terms)})


def _of_kind(terms: Terms) -> dict[str, Any]:
    spec = terms.spec
    if isinstance(spec, TopUpSpec):
        return {"least": money_text(spec.least_minor), "most": money_text(spec.most_minor)}
    if isinstance(spec, BundleSpec):
        return {"only_with": spec.only_with}
    return {
        "default": spec.default,
        "trial_days": spec.trial_days,
        "per_seat": spec.per_seat,
        "seats": spec.seats,
        "pay_per_use": spec.pay_per_use is not None,
        "models": spec.models,
        "limits": spec.limits,
    }


class Offers(ResponseModel):
    items: list[Offer]


class PendingPlan(ResponseModel):
    """What takes over when the running period ends."""

    plan: str
    plan_version: int
    seats: int


class Unpaid(ResponseModel):
    """Calls are refused until this is paid: by another card, or when the bank takes this one after all.

    `confirm_url` is where its customer confirms it, while the bank wants that; for owners and admins only.
    """

    reason: str
    amount: str
    currency: str
    card_brand: str | None
    card_last4: str | None
    detail: str
    confirm_url: str | None

    @classmethod
    def of(cls, use: UnpaidUse, *, confirm_url: str | None) -> "Unpaid":
        amount = money_text(use.amount_minor)
        card = f"the {use.card_brand} card ending in {use.card_last4}" if use.card_last4 else "the card on file"
        return cls(
            reason=use.reason,
            amount=amount,
            currency=use.currency,
            card_brand=use.card_brand,
            card_last4=use.card_last4,
            detail=f"{amount} {use.currency} could not be collected from {card} ({use.reason}).",
            confirm_url=confirm_url,
        )


class Subscription(ResponseModel):
    """As Stripe last had it; one that `pays_per_use` is collected afterwards.

    Past due, the plan holds until `grace_until` (null: as long as Stripe tries to collect).
    """

    id: str
    plan: str
    plan_version: int
    status: str
    seats: int
    currency: str
    current_period_start: Instant
    current_period_end: Instant
    cancel_at_period_end: bool
    pays_per_use: bool
    pending: PendingPlan | None
    trial_end: Instant | None
    grace_until: Instant | None
    unpaid: Unpaid | None

    @classmethod
    def of(cls, state: SubscriptionState, *, confirm_url: str | None = None) -> "Subscription":
        pending = None
        if state.pending is not None:
            plan, version, seats = state.pending
            pending = PendingPlan(plan=plan, plan_version=version, seats=seats)
        return cls(
            id=state.id,
            plan=state.plan_id,
            plan_version=state.plan_version,
            status=state.status,
            seats=state.quantity,
            currency=state.currency,
            current_period_start=state.current_period_start,
            current_period_end=state.current_period_end,
            cancel_at_period_end=state.cancel_at_period_end,
            pays_per_use=state.is_local,
            pending=pending,
            trial_end=state.trial_end,
            grace_until=state.grace_until,
            unpaid=Unpaid.of(state.unpaid, confirm_url=confirm_url) if state.unpaid else None,
        )


class SubscriptionAnswer(ResponseModel):
    """`subscription` is null for an account that never had one."""

    subscription: Subscription | None


class Payment(ResponseModel):
    """`reversed` is what was refunded or is disputed of `amount`; `tax` is what of it is taxes."""

    id: str
    kind: Literal["bundle", "subscription"]
    status: Literal["settled", "failed"]
    offer: str
    amount: str
    tax: str
    reversed: str
    currency: str
    credits: str = Field(description="what this payment granted")
    created_at: Instant

    @classmethod
    def of(cls, line: PaymentLine) -> "Payment":
        return cls.model_validate(
            {
                "id": line.id,
                "kind": line.kind,
                "status": line.status,
                "offer": line.offer_id,
                "amount": money_text(line.amount_minor),
                "tax": money_text(line.tax_minor),
                "reversed": money_text(line.reversed_minor),
                "currency": line.currency,
                "credits": credit_text(line.grant_nano),
                "created_at": line.created_at,
            }
        )


class Received(ResponseModel):
    """The event is stored; whether it was known already makes no difference."""

    received: Literal[True] = True
