"""What is for sale: plans and bundles as the operator writes them, checked as a whole."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from billing.domain.amounts import MinorText, NanoText
from contracts.money import BasisPoints, Unit

LEAST_PRICE_MINOR: Final = 50
"""Stripe takes no smaller payment in US dollars."""

OfferId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,39}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Rule = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class Spec(BaseModel):
    """A piece of the catalogue: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class AllowanceSpec(Spec):
    """What a plan grants: once for `valid_days`, or per paid period without them. Credits only, for now."""

    rule: Rule
    credits_nano: NanoText = Field(alias="credits", gt=0)
    valid_days: int | None = Field(None, ge=1, le=3660)
    priority: int = Field(100, ge=0, le=1000)


class LimitsSpec(Spec):
    """None is unlimited."""

    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    concurrency: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)


class PlanSpec(Spec):
    """A plan; `default` is the one that a newly activated account gets."""

    name: Name
    default: bool = False
    price_minor: MinorText = Field(alias="price")
    interval: Literal["none", "month", "year"] = "none"
    allowances: tuple[AllowanceSpec, ...] = Field(min_length=1)
    models: tuple[str, ...] | None = Field(None, min_length=1)
    limits: LimitsSpec = LimitsSpec()
    admission: Literal["strict", "elastic"] = "strict"
    markup_bps: BasisPoints | None = None

    @model_validator(mode="after")
    def _sold_or_given(self) -> Self:
        if self.price_minor == 0:
            self._check_given()
        else:
            self._check_sold()
        return self

    def _check_given(self) -> None:
        if self.interval != "none":
            raise ValueError('a plan without a price has interval "none": nothing is paid, so nothing renews it')
        if any(allowance.valid_days is None for allowance in self.allowances):
            raise ValueError("allowances of a plan without a price need valid_days: no paid period bounds them")

    def _check_sold(self) -> None:
        if self.price_minor < LEAST_PRICE_MINOR:
            raise ValueError("price: the least that can be charged is 0.50")
        if self.interval == "none":
            raise ValueError('interval: a plan with a price is paid per "month" or "year"')
        if len(self.allowances) != 1 or self.allowances[0].valid_days is not None:
            raise ValueError("allowances: a plan with a price has one allowance, without valid_days")
        if self.default:
            raise ValueError("default: the default plan is given without payment, so its price must be 0")


class BundleSpec(Spec):
    """Credits bought once."""

    name: Name
    price_minor: MinorText = Field(alias="price", ge=LEAST_PRICE_MINOR)
    credits_nano: NanoText = Field(alias="credits", gt=0)
    valid_days: int | None = Field(None, ge=1, le=3660)


OfferSpec = PlanSpec | BundleSpec


class Catalogue(Spec):
    """The whole file; `format` is the version of its shape."""

    format: Literal[1]
    currency: Literal["usd"]
    plans: dict[OfferId, PlanSpec]
    bundles: dict[OfferId, BundleSpec] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_default_and_no_id_twice(self) -> Self:
        defaults = [plan_id for plan_id, plan in self.plans.items() if plan.default]
        if len(defaults) != 1:
            raise ValueError(f"plans: exactly one must say default = true, {len(defaults)} do")
        if both := sorted(set(self.plans) & set(self.bundles)):
            raise ValueError(f"bundles: {', '.join(both)} is the id of a plan already")
        return self

    def offers(self) -> dict[str, OfferSpec]:
        """Everything on sale, plans first, in the order of the file."""
        return {**self.plans, **self.bundles}


def spec_values(spec: OfferSpec) -> dict[str, Any]:
    """A spec as JSON values, with amounts as decimal strings, as it is stored."""
    return spec.model_dump(mode="json", by_alias=True)


def spec_digest(spec: OfferSpec, currency: str) -> str:
    """What two versions with the same content share, however their files were laid out."""
    canonical = {"kind": kind_of(spec), "currency": currency, **spec_values(spec)}
    return hashlib.sha256(orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)).hexdigest()


def kind_of(spec: OfferSpec) -> Literal["plan", "bundle"]:
    return "plan" if isinstance(spec, PlanSpec) else "bundle"


def parse_spec(kind: str, values: Mapping[str, Any]) -> OfferSpec:
    """A spec out of what `spec_values` made."""
    return (PlanSpec if kind == "plan" else BundleSpec).model_validate(values)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a version of an offer costs and gives; never edited."""

    offer_id: str
    version: int
    digest: str
    currency: str
    spec: OfferSpec

    @property
    def is_plan(self) -> bool:
        return isinstance(self.spec, PlanSpec)

    @property
    def price_minor(self) -> int:
        return self.spec.price_minor

    @property
    def interval(self) -> Literal["none", "month", "year"]:
        return self.spec.interval if isinstance(self.spec, PlanSpec) else "none"

    @property
    def grant_unit(self) -> Unit:
        return Unit.CREDIT

    @property
    def grant_nano(self) -> int:
        """What one payment grants."""
        if isinstance(self.spec, PlanSpec):
            return self.spec.allowances[0].credits_nano
        return self.spec.credits_nano

    @property
    def valid_days(self) -> int | None:
        return self.spec.allowances[0].valid_days if isinstance(self.spec, PlanSpec) else self.spec.valid_days

    @property
    def lookup_key(self) -> str:
        """Names the price in Stripe; the digest keeps installations that share an account there apart."""
        return f"faregate_{self.offer_id}_v{self.version}_{self.digest[:12]}"
