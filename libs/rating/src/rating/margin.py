"""What a plan earns at worst and typically, per model, before it is sold (money.md 20).

Worst: every unit that the plan gives is used for the dearest thing that it pays for. Typical: all of it is used, for a
usual mix of tokens. Exact fractions inside, basis points rounded down outside.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from rating.book import PriceBook
from rating.plan_tokens import WHOLE, PlanWeights, Weight
from rating.rates import ModelRates

WHOLE_BPS: Final = 10_000
TYPICAL: Final = (60, 4, 1, 20, 15)
"""Hundredths of all tokens in the order of `plan_tokens.CLASSES`: a chat that repeats its context."""

Unit = Literal["credit", "token", "request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldUnits:
    """What somebody pays for: `amount` units for `price_nano`, each of them to be used for calls of the plan.

    `overage_nano_per_1k_tokens` is what more of it costs.
    """

    unit: Unit
    amount: int
    price_nano: int
    markup_bps: int
    weights: Sequence[Weight] = ()
    request_max_price_nano: int | None = None
    overage_nano_per_1k_tokens: int | None = None


class Margin(NamedTuple):
    """A model's margins in basis points of what is earned; None: nothing bounds the loss, or nothing is earned."""

    model: str
    worst_bps: int | None
    typical_bps: int | None

    @property
    def is_loss(self) -> bool:
        return self.worst_bps is None or self.worst_bps < 0


Mixes = Mapping[str, Sequence[int]]
"""How a model's tokens divide over `plan_tokens.CLASSES`, in any whole; a model without one divides as usual."""


def worst_margin(
    sold: SoldUnits, book: PriceBook, *, at: datetime, models: Iterable[str] | None = None, mixes: Mixes | None = None
) -> tuple[Margin, ...]:
    """Per allowed model, the dearest for us first; an unpriced model is refused."""
    mixes = mixes or {}
    names = sorted(book.models if models is None else models)
    weights = PlanWeights(sold.weights)
    found = [
        _margin(sold, book.rates_for(name), weights=weights, at=at, mix=mixes.get(name) or TYPICAL) for name in names
    ]
    return tuple(sorted(found, key=lambda one: (one.worst_bps is not None, one.worst_bps or 0, one.model)))


def _margin(sold: SoldUnits, rates: ModelRates, *, weights: PlanWeights, at: datetime, mix: Sequence[int]) -> Margin:
    if sold.unit == "credit":
        earned = Fraction(sold.price_nano, sold.amount) if sold.amount else Fraction(1)
        cost = Fraction(WHOLE_BPS, WHOLE_BPS + sold.markup_bps)
        return Margin(rates.model, _bps(earned, cost), _bps(earned, cost))
    if sold.unit == "request":
        return _of_requests(sold, rates)
    worst, typical = _cost_of_token(rates, weights.of(rates.model), at=at, mix=mix)
    rates_earned = [Fraction(sold.price_nano, sold.amount)] if sold.amount else []
    if sold.overage_nano_per_1k_tokens is not None:
        rates_earned.append(Fraction(sold.overage_nano_per_1k_tokens, 1_000))
    least = min(rates_earned) if rates_earned else Fraction(0)
    return Margin(rates.model, None if worst is None else _bps(least, worst), _bps(least, typical))


def _of_requests(sold: SoldUnits, rates: ModelRates) -> Margin:
    """A call may be worth up to the bundle's highest price; what it is worth beyond is paid for on its own."""
    earned = Fraction(sold.price_nano, sold.amount) if sold.amount else Fraction(0)
    if sold.request_max_price_nano is None:
        return Margin(rates.model, None, None)
    cost = Fraction(sold.request_max_price_nano * WHOLE_BPS, WHOLE_BPS + sold.markup_bps)
    return Margin(rates.model, _bps(earned, cost), _bps(earned, cost / 2))


def _cost_of_token(
    rates: ModelRates, weights: tuple[int, ...], *, at: datetime, mix: Sequence[int]
) -> tuple[Fraction | None, Fraction]:
    """What one plan token costs at worst, at any size, speed and place, and in a mix at the usual price."""
    geo = max((Fraction(*ratio) for ratio in rates.geos.values()), default=Fraction(1))
    tiers = [tier for speed in rates.periods for tier in rates.tiers_at(at, speed=speed)]
    dearest = [max(tier.rates[place] for tier in tiers) * max(geo, Fraction(1)) for place in range(len(weights))]
    worst = (
        None if 0 in weights else max(price * WHOLE / weight for price, weight in zip(dearest, weights, strict=True))
    )
    usual = rates.tiers_at(at, speed=None)[-1].rates
    paid = sum(share * weight for share, weight in zip(mix, weights, strict=True))
    cost = sum(share * price for share, price in zip(mix, usual, strict=True))
    return worst, Fraction(cost * WHOLE, paid) if paid else Fraction(cost, sum(mix))


def _bps(earned: Fraction, cost: Fraction) -> int | None:
    return (earned - cost) * WHOLE_BPS // earned if earned > 0 else None
