"""What billing says: plans, subscriptions, payments and their reversals."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from contracts.event import Event, IntString, Part
from contracts.money import BasisPoints, Currency, Unit
from contracts.terms import Limits, PaymentProblem, SoftLimit, Terms

SubscriptionStatus = Literal[
    "incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "canceled", "paused"
]


class Allowance(Part):
    """What a plan grants: once for `valid_days` days, or per period when None.

    What is left at a period's end moves on as `roll_over` says; `capped` keeps at most `roll_over_cap` of the unit.
    """

    rule: str
    unit: Unit
    amount: IntString
    valid_days: int | None = None
    priority: int = 100
    roll_over: Literal["none", "capped", "full"] = "none"
    roll_over_cap: IntString | None = None


class PlanPublished(Event):
    """A plan version; never edited, a new version supersedes it from `effective_at` on. Keyed by plan and version.

    `default` marks the plan that a newly activated account gets. `renewal` says whose clock starts its periods:
    the subscription's real ones, the ledger's (monthly from the account's anchor, for free plans), or nobody's.
    """

    type: ClassVar[str] = "billing.plan-published.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("plan_id", "version")

    plan_id: str
    version: int
    name: str
    default: bool = False
    price_minor: IntString = 0
    currency: Currency = "usd"
    interval: Literal["none", "month", "year"] = "none"
    allowances: tuple[Allowance, ...] = ()
    models: tuple[str, ...] | None = None
    limits: Limits = Limits()
    admission: Literal["strict", "elastic"] = "strict"
    markup_bps: BasisPoints | None = None
    effective_at: AwareDatetime
    terms: Terms = Terms()
    soft_limits: tuple[SoftLimit, ...] = ()
    renewal: Literal["subscription", "ledger", "none"] = "none"
    kind: Literal["plan", "bundle", "pay_per_use"] = "plan"
    trial_days: int | None = None
    seats: int | None = None


class AccountSettingsChanged(Event):
    """What an account and the operator have set about its money; absent paths are closed.

    `payment_problem` is there while a payment was declined, or waits for its customer, and none has gone through since.
    """

    type: ClassVar[str] = "billing.account-settings-changed.v1"

    account_id: UUID
    version: int
    overage_ceiling_nano: IntString | None = None
    auto_top_up_below_nano: IntString | None = None
    has_payment_method: bool = False
    open_paths: tuple[str, ...] = ()
    payment_problem: PaymentProblem | None = None


class SubscriptionChanged(Event):
    """The subscription's current state as Stripe has it. Keyed by subscription.

    One that is past due is told as `unpaid` once `grace_until`, the plan's patience, is over. `quantity` counts seats;
    a `pending_…` plan takes over when the running period ends.
    """

    type: ClassVar[str] = "billing.subscription-changed.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("subscription_id",)

    account_id: UUID
    subscription_id: str
    version: int
    plan_id: str
    plan_version: int
    status: SubscriptionStatus
    current_period_start: AwareDatetime
    current_period_end: AwareDatetime
    cancel_at_period_end: bool = False
    quantity: int = 1
    pending_plan_id: str | None = None
    pending_plan_version: int | None = None
    trial_end: AwareDatetime | None = None
    grace_until: AwareDatetime | None = None


class PaymentSettled(Event):
    """Stripe confirmed the money; the amounts are final. Keyed by account.

    A bundle grants `grant_amount` for `valid_days` (None: no expiry); a subscription's payment grants it
    for the period. `tax_minor` was paid beside `paid_minor`: it is the tax office's, and nobody's revenue; so was
    `use_minor`, for use that is past and was booked when it was made.
    """

    type: ClassVar[str] = "billing.payment-settled.v1"

    account_id: UUID
    payment_id: str
    kind: Literal["bundle", "subscription"]
    offer_id: str
    plan_id: str | None = None
    plan_version: int | None = None
    subscription_id: str | None = None
    grant_unit: Unit
    grant_amount: IntString
    paid_minor: IntString
    fee_minor: IntString
    currency: Currency
    valid_days: int | None = None
    period_start: AwareDatetime | None = None
    period_end: AwareDatetime | None = None
    tax_minor: IntString = 0
    use_minor: IntString = 0


class PaymentFailed(Event):
    """A payment did not go through; nothing was granted.

    With the reason `authentication_required` the customer has to confirm it: billing's page of payment methods.
    """

    type: ClassVar[str] = "billing.payment-failed.v1"

    account_id: UUID
    payment_id: str
    kind: Literal["bundle", "subscription"]
    offer_id: str
    amount_minor: IntString
    currency: Currency
    reason: str | None = None
    card_brand: str | None = None
    card_last4: str | None = None


class OverageStranded(Event):
    """Use past a plan has waited for a day for a subscription that bills it; an operator decides what becomes of it.

    `amount_nano` is all that the account's use so far comes to, `since` its oldest hour.
    """

    type: ClassVar[str] = "billing.overage-stranded.v1"

    account_id: UUID
    amount_nano: IntString
    since: AwareDatetime


class PaymentReversed(Event):
    """Money of a settled payment went back, or came back: the ledger follows in units granted (money.md 23).

    `reversal_id` names the refund or dispute; a dispute that is won inverts what its opening took, exactly.
    `paid_minor` is the whole payment; `tax_minor` of it went back beside `reversed_minor`.
    """

    type: ClassVar[str] = "billing.payment-reversed.v1"

    account_id: UUID
    payment_id: str
    reversal_id: str
    kind: Literal["refund", "dispute_opened", "dispute_won", "dispute_lost"]
    reversed_minor: IntString
    paid_minor: IntString
    currency: Currency
    tax_minor: IntString = 0
