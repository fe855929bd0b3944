"""What a plan allows and how its units are counted; stated by billing, carried to gateways by the ledger's snapshot."""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.event import IntString, Part
from contracts.money import BasisPoints, Unit

TokenClass = Literal["input", "cache_write_5m", "cache_write_1h", "cache_read", "output"]
BudgetScope = Literal["account", "member", "project", "api_key"]
BudgetWindow = Literal["day", "month", "total"]


class Limits(Part):
    """A plan's limits; None is unlimited. `tokens_per_minute` counts input and cache writes, not cache reads.

    `max_tokens` is the most output that one call may ask for, `max_price_nano` the most that one call may cost.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    member_concurrency: int | None = None
    max_tokens: int | None = None
    max_price_nano: IntString | None = None


class PaymentProblem(Part):
    """Why nothing can be charged at the moment, in Stripe's word, and by what its owner recognises the card."""

    reason: str
    card_brand: str | None = None
    card_last4: str | None = None


class TokenWeight(Part):
    """How many hundredths of a plan token one token of a class and model counts; None is every model or class.

    The most exact entry holds: model and class, then model, then class, then all. Without one, 100.
    """

    model: str | None = None
    token_class: TokenClass | None = None
    hundredths: int = Field(ge=0, le=100_000)


class ModelMarkup(Part):
    """A model's markup where it differs from the plan's."""

    model: str
    markup_bps: BasisPoints


class NearLimit(Part):
    """What changes when no more than `percent_left` of the allowance is left: a cheaper alias, a lower `max_tokens`."""

    percent_left: int = Field(ge=1, le=99)
    alias: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)


class OverageTerms(Part):
    """What happens past grants and credits (money.md 20).

    `bill` at `nano_per_1k_tokens`, or at the price book when None; `warn` books the excess at price 0 against goodwill.
    """

    policy: Literal["block", "bill", "warn"] = "block"
    nano_per_1k_tokens: IntString | None = None
    collect: Literal["meter", "payment"] | None = None


class SoftLimit(Part):
    """Fair use: past `amount` in a period the ledger warns, lowers the plan's rate, or blocks to the period's end."""

    unit: Unit
    amount: IntString
    then: Literal["warn", "throttle", "block"]
    throttled_requests_per_minute: int | None = None


class AliasChoice(Part):
    """What an alias stands for with this plan, where it differs from the gateway's own configuration."""

    alias: str
    model: str


class Terms(Part):
    """How calls of a plan are counted and served, beyond its models, limits and markup."""

    unit: Unit = Unit.CREDIT
    weights: tuple[TokenWeight, ...] = ()
    request_max_price_nano: IntString | None = None
    overage: OverageTerms = OverageTerms()
    model_markups: tuple[ModelMarkup, ...] = ()
    elastic_step_tokens: int = Field(default=1_024, ge=1)
    on_client_gone: Literal["drain", "cancel"] = "drain"
    near_limit: NearLimit | None = None
    aliases: tuple[AliasChoice, ...] = ()
    route_set: str | None = None
    open_allowance_nano: IntString = 0


class Budget(Part):
    """The most that somebody wants spent in a window: UTC days and months, or in all."""

    window: BudgetWindow
    limit_nano: IntString


class BudgetState(Part):
    """A budget and what the books count against it; from `resets_at` on (None: never) nothing is spent yet.

    `scope_id` is the account, user, project or API key. Amounts are prices, whatever unit pays for them.
    """

    scope: BudgetScope
    scope_id: UUID
    window: BudgetWindow
    limit_nano: IntString
    spent_nano: IntString = 0
    resets_at: AwareDatetime | None = None
