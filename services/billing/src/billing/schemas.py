"""What billing's routes take and answer. Money and credits are decimal strings, times are RFC 3339 in UTC."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, StringConstraints

from billing.domain.amounts import credit_text, money_text
from billing.domain.catalogue import LimitsSpec, PlanSpec, Terms
from billing.service.checkout import Opened, Progress
from billing.service.statements import PaymentLine, SubscriptionState
from contracts.money import Unit
from kit.http import RequestModel, ResponseModel

Instant = Annotated[
    datetime,
    PlainSerializer(lambda value: value.astimezone(UTC).isoformat().replace("+00:00", "Z"), return_type=str),
]
ReturnUrl = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[\x21-\x7e]+$")]


class CheckoutRequest(RequestModel):
    """What to buy; the addresses must be on Faregate's own origin or on the buyer's own machine (loopback)."""

    offer: Annotated[str, StringConstraints(min_length=1, max_length=40)]
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
    mode: Literal["payment", "subscription"] | None = None

    @classmethod
    def of(cls, progress: Progress, *, whole: bool) -> "CheckoutProgress":
        values = {"session_id": progress.session_id, "status": progress.status, "settled": progress.settled}
        if whole:
            values |= {"offer": progress.offer_id, "mode": progress.mode}
        return cls.model_validate(values)


class Offer(ResponseModel):
    """A plan or a bundle; what it gives comes once, or per period when the offer has an interval.

    `amount` counts plan tokens or calls where `unit` says so; `credits` are none then.
    """

    id: str
    kind: Literal["plan", "bundle"]
    name: str
    version: int
    price: str
    currency: str
    interval: Literal["none", "month", "year"]
    credits: str
    unit: Unit = Unit.CREDIT
    amount: str | None = None
    valid_days: int | None = None
    buyable: bool
    default: bool = False
    models: tuple[str, ...] | None = None
    limits: LimitsSpec | None = None

    @classmethod
    def of(cls, terms: Terms) -> "Offer":
        spec = terms.spec
        plan = spec if isinstance(spec, PlanSpec) else None
        is_in_credits = terms.grant_unit is Unit.CREDIT
        return cls(
            id=terms.offer_id,
            kind="plan" if plan else "bundle",
            name=spec.name,
            version=terms.version,
            price=money_text(terms.price_minor),
            currency=terms.currency,
            interval=terms.interval,
            credits=credit_text(terms.grant_nano if is_in_credits else 0),
            unit=terms.grant_unit,
            amount=None if is_in_credits else str(terms.grant_nano),
            valid_days=terms.valid_days,
            buyable=terms.price_minor > 0,
            default=plan.default if plan else False,
            models=plan.models if plan else None,
            limits=plan.limits if plan else None,
        )


class Offers(ResponseModel):
    items: list[Offer]


class Subscription(ResponseModel):
    id: str
    plan: str
    plan_version: int
    status: str
    current_period_start: Instant
    current_period_end: Instant
    cancel_at_period_end: bool

    @classmethod
    def of(cls, state: SubscriptionState) -> "Subscription":
        return cls(
            id=state.id,
            plan=state.plan_id,
            plan_version=state.plan_version,
            status=state.status,
            current_period_start=state.current_period_start,
            current_period_end=state.current_period_end,
            cancel_at_period_end=state.cancel_at_period_end,
        )


class SubscriptionAnswer(ResponseModel):
    """`subscription` is null for an account that never had one."""

    subscription: Subscription | None


class Payment(ResponseModel):
    """`reversed` is what was refunded or is disputed of `amount`."""

    id: str
    kind: Literal["bundle", "subscription"]
    status: Literal["settled", "failed"]
    offer: str
    amount: str
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
                "reversed": money_text(line.reversed_minor),
                "currency": line.currency,
                "credits": credit_text(line.grant_nano),
                "created_at": line.created_at,
            }
        )


class Received(ResponseModel):
    """The event is stored; whether it was known already makes no difference."""

    received: Literal[True] = True
