"""How calls of a plan are counted and served, as the operator writes it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from billing.domain.amounts import NanoText
from contracts.money import BasisPoints, Unit
from contracts.terms import AliasChoice, ModelMarkup, NearLimit, OverageTerms, SoftLimit, Terms, TokenClass, TokenWeight

Count = Annotated[int, Field(ge=1, le=9 * 10**15)]


class Spec(BaseModel):
    """A piece of the catalogue: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class WeightSpec(Spec):
    """How many hundredths of a plan token one token counts; left out, a model or class is every one."""

    model: str | None = None
    token_class: TokenClass | None = Field(None, alias="class")
    hundredths: int = Field(ge=0, le=100_000)


class OverageSpec(Spec):
    """Past the plan: block, bill (per 1k plan tokens, or at the price book), or warn and book at nothing."""

    policy: Literal["block", "bill", "warn"] = "block"
    per_1k_nano: NanoText | None = Field(None, alias="per_1k_tokens", gt=0)
    collect: Literal["meter", "payment"] | None = None


class SoftLimitSpec(Spec):
    """Fair use in a period."""

    unit: Literal["token", "request"]
    amount: Count
    then: Literal["warn", "throttle", "block"]
    throttled_requests_per_minute: int | None = Field(None, ge=1)


class MarkupSpec(Spec):
    """A model's own markup."""

    model: str
    markup_bps: BasisPoints


class NearLimitSpec(Spec):
    """What changes near the end of the allowance."""

    percent_left: int = Field(ge=1, le=99)
    alias: str | None = None
    max_tokens: int | None = Field(None, ge=1)


class AliasSpec(Spec):
    """What an alias stands for with this plan."""

    alias: str
    model: str


class TermsSpec(Spec):
    """Everything that is left out is as for a plan in credits."""

    unit: Literal["credit", "token", "request"] = "credit"
    weights: tuple[WeightSpec, ...] = ()
    request_max_price_nano: NanoText | None = Field(None, alias="request_max_price", gt=0)
    overage: OverageSpec = OverageSpec()
    model_markups: tuple[MarkupSpec, ...] = ()
    elastic_step_tokens: int = Field(1_024, ge=1)
    on_client_gone: Literal["drain", "cancel"] = "drain"
    near_limit: NearLimitSpec | None = None
    aliases: tuple[AliasSpec, ...] = ()
    route_set: str | None = None
    open_allowance_nano: NanoText = Field(0, alias="open_allowance")

    def published(self) -> Terms:
        """As the other services hear it."""
        overage = self.overage
        return Terms(
            unit=Unit(self.unit),
            weights=tuple(TokenWeight(**one.model_dump()) for one in self.weights),
            request_max_price_nano=self.request_max_price_nano,
            overage=OverageTerms(
                policy=overage.policy, nano_per_1k_tokens=overage.per_1k_nano, collect=overage.collect
            ),
            model_markups=tuple(ModelMarkup(**one.model_dump()) for one in self.model_markups),
            elastic_step_tokens=self.elastic_step_tokens,
            on_client_gone=self.on_client_gone,
            near_limit=NearLimit(**self.near_limit.model_dump()) if self.near_limit else None,
            aliases=tuple(AliasChoice(**one.model_dump()) for one in self.aliases),
            route_set=self.route_set,
            open_allowance_nano=self.open_allowance_nano,
        )


def published_limit(limit: SoftLimitSpec) -> SoftLimit:
    return SoftLimit(**limit.model_dump())
