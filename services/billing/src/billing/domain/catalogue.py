"""What is for sale: plans and bundles as the operator writes them, checked as a whole."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import Field, StringConstraints, model_validator

from billing.domain.amounts import NANO_PER_MINOR, MinorText, NanoText
from billing.domain.paying import CurrencyName, GraceSpec, PayPerUseSpec
from billing.domain.terms import Count, SoftLimitSpec, Spec, TermsSpec
from contracts.money import MAX_AMOUNT, BasisPoints, Unit

LEAST_PRICE_MINOR: Final = 50
"""Stripe takes no smaller payment in US dollars."""

LATER: Final = frozenset(
    {
        "tokens",
        "requests",
        "roll_over",
        "roll_over_cap_percent",
        "renewal",
        "kind",
        "soft_limits",
        "terms",
        "member_concurrency",
        "max_price",
        "trial_days",
        "seats",
        "prices",
        "per_seat",
        "grace",
        "pay_per_use",
        "only_with",
    }
)

OfferId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,39}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Rule = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class Measured(Spec):
    """So many credits, plan tokens or requests: one of them."""

    credits_nano: NanoText | None = Field(None, alias="credits", gt=0)
    tokens: Count | None = None
    requests: Count | None = None

    @model_validator(mode="after")
    def _in_one_unit(self) -> Self:
        if sum(one is not None for one in (self.credits_nano, self.tokens, self.requests)) != 1:
            raise ValueError("write one of credits, tokens and requests")
        return self

    @property
    def unit(self) -> Unit:
        if self.credits_nano is not None:
            return Unit.CREDIT
        return Unit.TOKEN if self.tokens is not None else Unit.REQUEST

    @property
    def amount(self) -> int:
        return self.credits_nano or self.tokens or self.requests or 0


class AllowanceSpec(Measured):
    """What a plan grants: once for `valid_days`, or per period without them.

    `roll_over_cap_percent` of the allowance is carried on at most where roll-over is capped.
    """

    rule: Rule
    valid_days: int | None = Field(None, ge=1, le=3660)
    priority: int = Field(100, ge=0, le=1000)
    roll_over: Literal["none", "capped", "full"] = "none"
    roll_over_cap_percent: int | None = Field(None, ge=1, le=1_000)

    @property
    def roll_over_cap(self) -> int | None:
        percent = self.roll_over_cap_percent
        return None if percent is None else self.amount * percent // 100


class LimitsSpec(Spec):
    """None is unlimited; `max_price` is the most that one call may cost."""

    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    concurrency: int | None = Field(None, ge=1)
    member_concurrency: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    max_price_nano: NanoText | None = Field(None, alias="max_price", gt=0)


class PlanSpec(Spec):
    """A plan; `default` is the one that a newly activated account gets.

    `seats` is how many members an account of the plan may have, and the most that can be bought where the price is
    one `per_seat`. `trial_days` is how long nothing is paid, once per account; the trial gives its share of a period's
    allowance. `prices` are those in other currencies.
    """

    name: Name
    default: bool = False
    price_minor: MinorText = Field(alias="price")
    interval: Literal["none", "month", "year"] = "none"
    allowances: tuple[AllowanceSpec, ...] = ()
    models: tuple[str, ...] | None = Field(None, min_length=1)
    limits: LimitsSpec = LimitsSpec()
    admission: Literal["strict", "elastic"] = "strict"
    markup_bps: BasisPoints | None = None
    renewal: Literal["subscription", "ledger", "none"] = "none"
    kind: Literal["plan", "pay_per_use"] = "plan"
    soft_limits: tuple[SoftLimitSpec, ...] = ()
    terms: TermsSpec = TermsSpec()
    trial_days: int | None = Field(None, ge=1, le=366)
    seats: int | None = Field(None, ge=1)
    prices: dict[CurrencyName, MinorText] = Field(default_factory=dict)
    per_seat: bool = False
    grace: GraceSpec | None = None
    pay_per_use: PayPerUseSpec | None = None

    @model_validator(mode="after")
    def _paid_afterwards_or_not(self) -> Self:
        collects = self.kind == "pay_per_use" and self.terms.overage.collect == "payment"
        if collects != (self.pay_per_use is not None):
            raise ValueError(
                'pay_per_use: needed exactly where kind is "pay_per_use" and overage is collected by "payment"'
            )
        if collects and (self.price_minor or self.terms.overage.policy != "bill"):
            raise ValueError('pay_per_use: such a plan has no price of its own, and its overage policy is "bill"')
        return self

    @model_validator(mode="after")
    def _gives_something(self) -> Self:
        if not self.allowances and self.kind != "pay_per_use":
            raise ValueError('allowances: a plan gives something, unless its kind is "pay_per_use"')
        return self

    @model_validator(mode="after")
    def _sold_or_given(self) -> Self:
        if self.price_minor == 0:
            self._check_given()
        else:
            self._check_sold()
        return self

    def _check_given(self) -> None:
        if self.renewal == "ledger":
            return
        if self.prices or self.per_seat or self.grace:
            raise ValueError("prices, per_seat and grace are for plans with a price")
        if self.interval != "none":
            raise ValueError('a plan without a price has interval "none": nothing is paid, so nothing renews it')
        if any(allowance.valid_days is None for allowance in self.allowances):
            raise ValueError("allowances of a plan without a price need valid_days: no paid period bounds them")

    def _check_sold(self) -> None:
        if min((self.price_minor, *self.prices.values())) < LEAST_PRICE_MINOR:
            raise ValueError("price: the least that can be charged is 0.50")
        if self.interval == "none":
            raise ValueError('interval: a plan with a price is paid per "month" or "year"')
        if len(self.allowances) != 1 or self.allowances[0].valid_days is not None:
            raise ValueError("allowances: a plan with a price has one allowance, without valid_days")
        if self.per_seat and self.seats is None:
            raise ValueError("seats: a plan that is paid per seat names the most that can be bought")
        if self.renewal == "ledger":
            raise ValueError("renewal: who pays a plan renews it, by its subscription")
        if self.default:
            raise ValueError("default: the default plan is given without payment, so its price must be 0")


class BundleSpec(Measured):
    """Credits, tokens or requests bought once; `only_with` makes it an add-on, for subscribers of these plans."""

    name: Name
    price_minor: MinorText = Field(alias="price", ge=LEAST_PRICE_MINOR)
    valid_days: int | None = Field(None, ge=1, le=3660)
    prices: dict[CurrencyName, Annotated[MinorText, Field(ge=LEAST_PRICE_MINOR)]] = Field(default_factory=dict)
    only_with: tuple[OfferId, ...] = ()


class TopUpSpec(Spec):
    """Credits for an amount that the customer chooses, between `least` and `most`: a credit for each US dollar."""

    name: Name
    least_minor: MinorText = Field(alias="least", ge=LEAST_PRICE_MINOR)
    most_minor: MinorText = Field(alias="most")
    valid_days: int | None = Field(None, ge=1, le=3660)

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.least_minor > self.most_minor or self.most_minor * NANO_PER_MINOR > MAX_AMOUNT:
            raise ValueError("most: not less than least, and no more than fits into one grant")
        return self


OfferSpec = PlanSpec | BundleSpec | TopUpSpec
OfferKind = Literal["plan", "bundle", "top_up"]
_SPECS: Final[Mapping[str, type[PlanSpec] | type[BundleSpec] | type[TopUpSpec]]] = {
    "plan": PlanSpec,
    "bundle": BundleSpec,
    "top_up": TopUpSpec,
}
TOP_UP: Final = "top_up"
"""The id of the one offer whose amount is free."""


class Catalogue(Spec):
    """The whole file; `format` is the version of its shape."""

    format: Literal[1]
    currency: Literal["usd"]
    plans: dict[OfferId, PlanSpec]
    bundles: dict[OfferId, BundleSpec] = Field(default_factory=dict)
    top_up: TopUpSpec | None = None

    @model_validator(mode="after")
    def _one_default_and_no_id_twice(self) -> Self:
        defaults = [plan_id for plan_id, plan in self.plans.items() if plan.default]
        if len(defaults) != 1:
            raise ValueError(f"plans: exactly one must say default = true, {len(defaults)} do")
        if both := sorted(set(self.plans) & set(self.bundles)):
            raise ValueError(f"bundles: {', '.join(both)} is the id of a plan already")
        if TOP_UP in self.plans or TOP_UP in self.bundles:
            raise ValueError(f"{TOP_UP} is the id of the offer whose amount is free")
        return self

    @model_validator(mode="after")
    def _add_ons_of_plans(self) -> Self:
        for bundle_id, bundle in self.bundles.items():
            if unknown := sorted(set(bundle.only_with) - set(self.plans)):
                raise ValueError(f"bundles.{bundle_id}.only_with: {', '.join(unknown)} is no plan")
        return self

    def offers(self) -> dict[str, OfferSpec]:
        """Everything on sale, plans first, in the order of the file."""
        free_amount = {TOP_UP: self.top_up} if self.top_up else {}
        return {**self.plans, **self.bundles, **free_amount}


def spec_values(spec: OfferSpec) -> dict[str, Any]:
    """A spec as JSON values, with amounts as decimal strings, as it is stored.

    What came to the catalogue's shape later is left out where it says nothing: offers from before keep their digest.
    """
    values = spec.model_dump(mode="json", by_alias=True)
    said = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return _without_silence(values, said)


def _without_silence(values: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in values.items() if name not in LATER or name in said}
    if "limits" in kept:
        kept["limits"] = _without_silence(kept["limits"], said.get("limits", {}))
    if "allowances" in kept:
        pairs = zip(kept["allowances"], said.get("allowances", ()), strict=True)
        kept["allowances"] = [_without_silence(value, told) for value, told in pairs]
    return kept


def spec_digest(spec: OfferSpec, currency: str) -> str:
    """What two versions with the same content share, however their files were laid out."""
    canonical = {"kind": kind_of(spec), "currency": currency, **spec_values(spec)}
    return hashlib.sha256(orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)).hexdigest()


def kind_of(spec: OfferSpec) -> OfferKind:
    if isinstance(spec, PlanSpec):
        return "plan"
    return "bundle" if isinstance(spec, BundleSpec) else "top_up"


def parse_spec(kind: str, values: Mapping[str, Any]) -> OfferSpec:
    """A spec out of what `spec_values` made."""
    return _SPECS[kind].model_validate(values)
