"""A model's prices at an instant, laid out so that the worst case of a call is a few multiplications.

The same figures as `rating.worst_case`, which reads the price book anew for each call; a property test holds them
together. A tariff is compiled once per book, model, speed and geography, and holds until the next price row begins.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from rating import PriceBook
from rating.price import ratio_of
from rating.rates import ModelRates, Tier, TokenRates

_END: Final = datetime.max.replace(tzinfo=UTC)
_STANDARD: Final = frozenset({None, "", "standard"})
_MOST_TARIFFS: Final = 4_096


class Step(NamedTuple):
    """The dearest prices that a prompt above so many tokens can meet: input by `CacheUse`, then output."""

    above_prompt_tokens: int
    input_nano: tuple[int, int, int]
    output_nano: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices are `nano * numerator / denominator`; they hold from `since` until `until`."""

    model: str
    context_window_tokens: int
    max_output_tokens: int
    numerator: int
    denominator: int
    steps: tuple[Step, ...]
    since: datetime
    until: datetime

    def step_for(self, prompt_tokens: int) -> Step:
        """The dearest of what a prompt of up to that size can meet."""
        found = self.steps[0]
        for step in self.steps[1:]:
            if prompt_tokens > step.above_prompt_tokens:
                found = step
        return found


class Tariffs:
    """The compiled tariffs of the price book that was asked for last."""

    def __init__(self) -> None:
        self._book: PriceBook | None = None
        self._made: dict[tuple[str, str | None, str | None], Tariff] = {}

    def of(self, book: PriceBook, model: str, *, at: datetime, speed: str | None, geo: str | None) -> Tariff:
        """Raises `UnpricedModelError` or `UnpricedOptionError` for what the book does not sell."""
        if book is not self._book:
            self._book, self._made = book, {}
        key = (model, speed, geo)
        tariff = self._made.get(key)
        if tariff is None or not tariff.since <= at < tariff.until:
            tariff = self._compile(book, key, at=at)
        return tariff

    def _compile(self, book: PriceBook, key: tuple[str, str | None, str | None], *, at: datetime) -> Tariff:
        model, speed, geo = key
        tariff = tariff_of(book, book.rates_for(model), at=at, speed=speed, geo=geo)
        if len(self._made) >= _MOST_TARIFFS:
            self._made.clear()
        self._made[key] = tariff
        return tariff


def tariff_of(book: PriceBook, rates: ModelRates, *, at: datetime, speed: str | None, geo: str | None) -> Tariff:
    tiers = rates.tiers_at(at, speed=speed)
    if speed not in _STANDARD:
        # A call that asks for speed may be served without it.
        tiers += rates.tiers_at(at, speed=None)
    numerator, denominator = ratio_of(book, rates, geo=geo, batch=False)
    starts = [period.valid_from for periods in rates.periods.values() for period in periods]
    return Tariff(
        model=rates.model,
        context_window_tokens=rates.context_window_tokens,
        max_output_tokens=rates.max_output_tokens,
        numerator=numerator,
        denominator=denominator,
        steps=_steps(tiers),
        since=max(start for start in starts if start <= at),
        until=min((start for start in starts if start > at), default=_END),
    )


def _steps(tiers: tuple[Tier, ...]) -> tuple[Step, ...]:
    """One step per prompt size at which prices change; each is the dearest of all tiers that start below it."""
    sizes = sorted({tier.above_prompt_tokens for tier in tiers})
    return tuple(_step(size, [tier.rates for tier in tiers if tier.above_prompt_tokens <= size]) for size in sizes)


def _step(above_prompt_tokens: int, rows: list[TokenRates]) -> Step:
    plain_nano = max(max(row.input_nano, row.cache_read_nano) for row in rows)
    five_minutes_nano = max(plain_nano, *(row.cache_write_5m_nano for row in rows))
    one_hour_nano = max(five_minutes_nano, *(row.cache_write_1h_nano for row in rows))
    return Step(
        above_prompt_tokens,
        (plain_nano, five_minutes_nano, one_hour_nano),
        max(row.output_nano for row in rows),
    )
