"""How a plan is paid: in which currencies, with how much patience, and afterwards where it is paid per use."""

from typing import Literal, Self

from pydantic import Field, model_validator

from billing.domain.amounts import NANO_PER_MINOR, MinorText
from billing.domain.terms import Spec

CurrencyName = Literal["aud", "cad", "chf", "dkk", "eur", "gbp", "nok", "nzd", "pln", "sek"]
"""Currencies beside the catalogue's own: those with a hundred minor units, in which 0.50 can be charged."""

LEAST_COLLECTED_MINOR = 50


class GraceSpec(Spec):
    """While a renewal is unpaid the plan stays for `days` (0: not at all); overage may be billed then, or not.

    The period's allowance comes with its payment; without one there is what is left, bundles and credits.
    """

    days: int = Field(ge=0, le=60)
    overage: bool = False


class PayPerUseSpec(Spec):
    """Use is collected in one payment once `collect_at` is reached, and at the period's end.

    `most` is what may be open at once: a call whose hold would go beyond it is refused.
    """

    collect_at_minor: MinorText = Field(alias="collect_at", ge=LEAST_COLLECTED_MINOR)
    most_minor: MinorText = Field(alias="most")

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.most_minor < self.collect_at_minor:
            raise ValueError("most: what may be open at once is not less than collect_at")
        return self

    @property
    def most_nano(self) -> int:
        return self.most_minor * NANO_PER_MINOR
