"""Whether taxes can be computed: what Stripe's settings and registrations say of it."""

from dataclasses import dataclass
from typing import Final

AUTOMATIC_TAX: Final = "automatic_tax"
"""The switch's name."""


@dataclass(frozen=True, slots=True)
class TaxStanding:
    """What Stripe Tax needs of the operator; `countries` are those with an active registration."""

    is_active: bool
    missing: tuple[str, ...]
    behaviour: str | None
    countries: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Why taxes may not be switched on; with any of these Stripe would refuse, or silently collect nothing."""
        found = []
        if not self.is_active:
            fields = f" (missing: {', '.join(self.missing)})" if self.missing else ""
            found.append(f"Stripe's tax settings are not active{fields}")
        if not self.countries:
            found.append("Stripe has no active tax registration: nothing would be collected")
        if self.behaviour != "exclusive":
            told = self.behaviour or "not set"
            found.append(
                f"Stripe's default tax behavior is {told}: prices here are without taxes, so set it to exclusive"
            )
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Calculation:
    """What Stripe says is due on top of an amount; the id is what a payment names so that it is reported."""

    id: str
    total_minor: int
    tax_minor: int


def untaxed_minor(part_minor: int, *, whole_minor: int, tax_minor: int) -> int:
    """The part of a part that is no tax; differences of it add up, however a payment is divided."""
    return part_minor * (whole_minor - tax_minor) // whole_minor if whole_minor > 0 else 0
