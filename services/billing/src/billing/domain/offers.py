"""An offer at one version, and what somebody buys of it."""

from dataclasses import dataclass
from typing import Literal

from billing.domain.amounts import NANO_PER_MINOR
from billing.domain.catalogue import Measured, OfferSpec, PlanSpec, TopUpSpec
from contracts.money import Unit


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
    def plan(self) -> PlanSpec:
        """The spec of what is known to be a plan."""
        assert isinstance(self.spec, PlanSpec)
        return self.spec

    @property
    def price_minor(self) -> int:
        """In the catalogue's own currency; nothing where the buyer chooses the amount."""
        return 0 if isinstance(self.spec, TopUpSpec) else self.spec.price_minor

    @property
    def is_sold(self) -> bool:
        return self.price_minor > 0 or isinstance(self.spec, TopUpSpec)

    @property
    def prices(self) -> dict[str, int]:
        """What one costs, by currency; empty where the buyer chooses the amount."""
        if isinstance(self.spec, TopUpSpec) or self.price_minor == 0:
            return {}
        return {self.currency: self.price_minor, **{str(name): minor for name, minor in self.spec.prices.items()}}

    @property
    def interval(self) -> Literal["none", "month", "year"]:
        return self.spec.interval if isinstance(self.spec, PlanSpec) else "none"

    @property
    def grant_unit(self) -> Unit:
        granted = self._granted
        return granted.unit if granted else Unit.CREDIT

    @property
    def grant_nano(self) -> int:
        """What one payment grants, in its unit."""
        granted = self._granted
        return granted.amount if granted else 0

    @property
    def _granted(self) -> Measured | None:
        if isinstance(self.spec, PlanSpec):
            return self.spec.allowances[0] if self.spec.allowances else None
        return None if isinstance(self.spec, TopUpSpec) else self.spec

    @property
    def valid_days(self) -> int | None:
        if not isinstance(self.spec, PlanSpec):
            return self.spec.valid_days
        return self.spec.allowances[0].valid_days if self.spec.allowances else None

    @property
    def product_key(self) -> str:
        """Names the product in Stripe; the digest keeps installations that share an account there apart."""
        return f"faregate_{self.offer_id}_v{self.version}_{self.digest[:12]}"

    def lookup_key(self, currency: str) -> str:
        """Names the price in Stripe."""
        return self.product_key if currency == self.currency else f"{self.product_key}_{currency}"


@dataclass(frozen=True, slots=True)
class Purchase:
    """So much of an offer, in one currency: a number of seats of a plan, or an amount that the buyer chose."""

    terms: Terms
    currency: str
    quantity: int = 1
    amount_minor: int | None = None

    @property
    def price_minor(self) -> int:
        """What has to be paid for it, neither more nor less."""
        if self.amount_minor is not None:
            return self.amount_minor
        return self.terms.prices[self.currency] * self.quantity

    @property
    def grant_amount(self) -> int:
        """What one whole payment for it grants, in the offer's unit."""
        if self.amount_minor is not None:
            return self.amount_minor * NANO_PER_MINOR
        return self.terms.grant_nano * self.quantity
