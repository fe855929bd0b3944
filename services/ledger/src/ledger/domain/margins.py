"""What is left of revenue after what calls cost and what payments cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

WHOLE_BPS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """One subject's calls: `price_nano` in credits, overage and debt; `revenue_nano` is what was paid for them."""

    subject: str
    calls: int
    price_nano: int
    value_nano: int
    revenue_nano: int
    cost_nano: int
    fee_nano: int

    @property
    def margin_nano(self) -> int:
        return self.revenue_nano - self.cost_nano - self.fee_nano

    @property
    def margin_bps(self) -> int | None:
        """Of the revenue, rounded towards a loss; None without revenue."""
        return self.margin_nano * WHOLE_BPS // self.revenue_nano if self.revenue_nano else None

    def is_below(self, floor_bps: int) -> bool:
        """Without revenue, any cost is below every floor."""
        if not self.revenue_nano:
            return self.margin_nano < 0
        return self.margin_nano * WHOLE_BPS < self.revenue_nano * floor_bps

    @classmethod
    def of(cls, row: Any, *, fee_nano: int) -> "Margin":
        return cls(
            subject=row.subject,
            calls=row.calls,
            price_nano=row.price_nano,
            value_nano=row.value_nano,
            revenue_nano=row.recognised_nano,
            cost_nano=row.cost_nano,
            fee_nano=fee_nano,
        )


def spread_fees(fee_nano: int, revenues: Sequence[int], *, whole: int) -> list[int]:
    """Each subject's share of payment fees by its part of all revenue, rounded up so that no margin is flattered."""
    if whole <= 0:
        return [0 for _ in revenues]
    return [-(-fee_nano * max(0, revenue) // whole) for revenue in revenues]
