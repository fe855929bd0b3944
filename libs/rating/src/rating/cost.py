from math import lcm
from typing import NamedTuple

from rating.rates import LineKind


class Line(NamedTuple):
    """A quantity at a unit price times a ratio: `quantity * unit_nano * numerator / denominator`, exact."""

    kind: LineKind
    model: str
    quantity: int
    unit_nano: int
    numerator: int = 1
    denominator: int = 1

    @property
    def amount_numerator(self) -> int:
        return self.quantity * self.unit_nano * self.numerator


class Cost(NamedTuple):
    """What the provider asks, exact: `numerator / denominator` nano-credits, and the lines that add up to it."""

    numerator: int
    denominator: int
    lines: tuple[Line, ...]

    @classmethod
    def of(cls, lines: tuple[Line, ...]) -> "Cost":
        numerator, denominator = 0, 1
        for line in lines:
            if line.denominator != denominator:
                common = lcm(denominator, line.denominator)
                numerator *= common // denominator
                denominator = common
            numerator += line.amount_numerator * (denominator // line.denominator)
        return cls(numerator, denominator, lines)

    @property
    def nano(self) -> int:
        """Rounded up once, for the books: never the base of a price."""
        return -(-self.numerator // self.denominator)

    def exceeds(self, other: "Cost") -> bool:
        return self.numerator * other.denominator > other.numerator * self.denominator
