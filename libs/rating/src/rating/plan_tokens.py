"""Tokens of a plan: every token of a call times its weight, rounded up once (money.md 20)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from rating.usage import TokenCounts, Usage

CLASSES: Final = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")
"""In the order of `TokenCounts.tokens`."""
WHOLE: Final = 100
_REMEMBERED: Final = 1_000

ClassWeights = tuple[int, int, int, int, int]
"""Hundredths of a plan token, in the order of `CLASSES`."""


class Weight(NamedTuple):
    """How many hundredths of a plan token one token counts; None is every model or class."""

    model: str | None
    token_class: str | None
    hundredths: int


@dataclass(slots=True, init=False)
class PlanWeights:
    """A plan's weights; the most exact entry holds: model and class, then model, then class, then all."""

    _exact: dict[tuple[str | None, str | None], int]
    _made: dict[str, ClassWeights]

    def __init__(self, weights: Iterable[Weight] = ()) -> None:
        self._exact = {}
        for weight in weights:
            self._exact.setdefault((weight.model, weight.token_class), weight.hundredths)
        self._made = {}

    def of(self, model: str) -> ClassWeights:
        """What one token of each class of this model counts."""
        made = self._made.get(model)
        if made is None:
            a, b, c, d, e = (self._weight(model, token_class) for token_class in CLASSES)
            made = a, b, c, d, e
            if len(self._made) < _REMEMBERED:
                self._made[model] = made
        return made

    def _weight(self, model: str, token_class: str) -> int:
        for key in ((model, token_class), (model, None), (None, token_class), (None, None)):
            found = self._exact.get(key)
            if found is not None:
                return found
        return WHOLE


def plan_tokens(counts: TokenCounts, *, model: str, weights: PlanWeights) -> int:
    """What these counts take of an allowance in tokens; see `plan_tokens_of`."""
    return _whole(_hundredths(counts, weights.of(model)), has_tokens=any(counts.tokens))


def plan_tokens_of(usage: Usage, *, model: str, weights: PlanWeights) -> int:
    """What a call takes of an allowance in tokens, its iterations at the models that served them.

    A call that has tokens takes at least one: what takes none at all, tokens cannot pay, and its price would fall on
    credits.
    """
    counts = usage.counts
    hundredths = _hundredths(counts, weights.of(model))
    if hundredths and not usage.iterations:
        return -(-hundredths // WHOLE)
    has_tokens = any(counts.tokens)
    for iteration in usage.iterations:
        hundredths += _hundredths(iteration.counts, weights.of(iteration.model))
        has_tokens = has_tokens or any(iteration.counts.tokens)
    return _whole(hundredths, has_tokens=has_tokens)


def _hundredths(counts: TokenCounts, weights: ClassWeights) -> int:
    # Written out, as it is on the way of every call: a loop costs three times as much.
    return (
        counts.input_tokens * weights[0]
        + counts.cache_write_5m_tokens * weights[1]
        + counts.cache_write_1h_tokens * weights[2]
        + counts.cache_read_tokens * weights[3]
        + counts.output_tokens * weights[4]
    )


def _whole(hundredths: int, *, has_tokens: bool) -> int:
    return max(-(-hundredths // WHOLE), 1 if has_tokens else 0)


def overage_of(tokens: int, *, price_nano: int, nano_per_1k_tokens: int | None) -> int:
    """What all of a call would cost past its plan: by its plan tokens, or its price where the plan names no rate."""
    if nano_per_1k_tokens is None:
        return price_nano
    return -(-tokens * nano_per_1k_tokens // 1_000)
