"""A model's prices laid out for arithmetic: plain tuples, no pydantic on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from rating.errors import UnpricedModelError, UnpricedOptionError
from rating.rows import ModelPrices, PriceRow

BEGINNING = datetime.min.replace(tzinfo=UTC)
# What the provider reports where geography is free of choice or not offered.
UNMODIFIED_GEOS = frozenset({"", "global", "not_available"})


class LineKind(StrEnum):
    """What a line of a charge counts."""

    INPUT = "input"
    CACHE_WRITE_5M = "cache_write_5m"
    CACHE_WRITE_1H = "cache_write_1h"
    CACHE_READ = "cache_read"
    OUTPUT = "output"
    WEB_SEARCH = "web_search"
    WEB_FETCH = "web_fetch"
    CODE_EXECUTION = "code_execution"
    OPERATION = "operation"


class TokenRates(NamedTuple):
    """Nano-credits per token, in the order of `TokenCounts.tokens`."""

    input_nano: int
    cache_write_5m_nano: int
    cache_write_1h_nano: int
    cache_read_nano: int
    output_nano: int


class Tier(NamedTuple):
    above_prompt_tokens: int
    rates: TokenRates


class Period(NamedTuple):
    valid_from: datetime
    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True)
class ModelRates:
    """The compiled prices of a model, newest period and largest prompt first."""

    model: str
    context_window_tokens: int
    max_output_tokens: int
    geos: dict[str, tuple[int, int]]
    periods: dict[str, tuple[Period, ...]]

    @classmethod
    def compiled(cls, model: str, prices: ModelPrices) -> "ModelRates":
        speeds = {row.speed for row in prices.prices}
        return cls(
            model=model,
            context_window_tokens=prices.context_window_tokens,
            max_output_tokens=prices.max_output_tokens,
            geos={name: (ratio.numerator, ratio.denominator) for name, ratio in prices.inference_geo.items()},
            periods={speed: _periods([row for row in prices.prices if row.speed == speed]) for speed in speeds},
        )

    def tiers_at(self, at: datetime, *, speed: str | None) -> tuple[Tier, ...]:
        for period in self.periods.get(speed or "standard", ()):
            if at >= period.valid_from:
                return period.tiers
        if speed in {None, "", "standard"}:
            raise UnpricedModelError(self.model)
        raise UnpricedOptionError(self.model, option="speed", value=str(speed))

    def rates_at(self, at: datetime, *, speed: str | None, prompt_tokens: int) -> TokenRates:
        """The rates of the tier that the whole prompt falls into: they hold for all tokens of the request."""
        tiers = self.tiers_at(at, speed=speed)
        for tier in tiers:
            if prompt_tokens > tier.above_prompt_tokens:
                return tier.rates
        return tiers[-1].rates

    def geo_ratio(self, geo: str | None) -> tuple[int, int]:
        if geo is None or geo in UNMODIFIED_GEOS:
            return 1, 1
        ratio = self.geos.get(geo)
        if ratio is None:
            raise UnpricedOptionError(self.model, option="inference_geo", value=geo)
        return ratio

    def speed_or_standard(self, speed: str | None) -> str | None:
        """The speed if this model is sold at it: an inner iteration follows its call only as far as it can."""
        return speed if speed in self.periods else None

    def geo_or_none(self, geo: str | None) -> str | None:
        return geo if geo in self.geos else None


def _periods(rows: list[PriceRow]) -> tuple[Period, ...]:
    starts = sorted({row.valid_from or BEGINNING for row in rows}, reverse=True)
    return tuple(Period(start, tuple(_tiers(rows, start=start))) for start in starts)


def _tiers(rows: list[PriceRow], *, start: datetime) -> Iterator[Tier]:
    in_period = (row for row in rows if (row.valid_from or BEGINNING) == start)
    for row in sorted(in_period, key=lambda row: row.above_prompt_tokens, reverse=True):
        rates = TokenRates(
            input_nano=row.input_nano,
            cache_write_5m_nano=row.cache_write_5m_nano,
            cache_write_1h_nano=row.cache_write_1h_nano,
            cache_read_nano=row.cache_read_nano,
            output_nano=row.output_nano,
        )
        yield Tier(row.above_prompt_tokens, rates)
