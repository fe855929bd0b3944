"""The most that a call can cost, known before it is sent: what a strict plan reserves.

Every bound is taken at the dearest price that the call can meet, so for any usage within the bounds
`price_of(cost_of(...)) <= price_of(worst_case(...))` at the same book, instant and markup.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from rating.book import PriceBook
from rating.cost import Cost, Line
from rating.errors import UnpricedModelError
from rating.price import ratio_of, tool_lines
from rating.rates import LineKind, ModelRates, TokenRates
from rating.usage import check_quantity


class CacheUse(IntEnum):
    """The dearest prompt cache that the body asks for; reading is always possible."""

    NONE = 0
    FIVE_MINUTES = 1
    ONE_HOUR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationBounds:
    """Inner work that the top-level counts leave out, each of `uses` times; no `max_tokens` means the model's own."""

    model: str
    input_tokens: int
    max_tokens: int | None = None
    uses: int = 1

    def __post_init__(self) -> None:
        check_quantity("input_tokens", self.input_tokens)
        if self.max_tokens is not None:
            check_quantity("max_tokens", self.max_tokens)
        check_quantity("uses", self.uses)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBounds:
    """What a request allows. `input_tokens` bounds the whole prompt; unknown content raises it to the model's window.

    The defaults are the dear side: a one-hour cache, and the model's own output limit where the body names none.
    """

    input_tokens: int
    max_tokens: int | None = None
    cache: CacheUse = CacheUse.ONE_HOUR
    has_unknown_content: bool = False
    inference_geo: str | None = None
    speed: str | None = None
    batch: bool = False
    web_search_max_uses: int = 0
    web_fetch_max_uses: int = 0
    code_execution_max_uses: int = 0
    iterations: tuple[IterationBounds, ...] = ()

    def __post_init__(self) -> None:
        check_quantity("input_tokens", self.input_tokens)
        if self.max_tokens is not None:
            check_quantity("max_tokens", self.max_tokens)
        check_quantity("web_search_max_uses", self.web_search_max_uses)
        check_quantity("web_fetch_max_uses", self.web_fetch_max_uses)
        check_quantity("code_execution_max_uses", self.code_execution_max_uses)


def worst_case(book: PriceBook, bounds: CallBounds, *, model: str, at: datetime) -> Cost:
    """The highest cost before markup, exact: `price_of` makes the hold of it, `Cost.nano` the bare amount."""
    rates = book.rates_for(model)
    input_tokens = bounds.input_tokens
    if bounds.has_unknown_content:
        input_tokens = max(input_tokens, rates.context_window_tokens)
    tokens = (input_tokens, bounds.max_tokens, 1)
    lines = _token_lines(book, rates, bounds, tokens=tokens, at=at)
    lines += tool_lines(
        book.server_tools,
        model=rates.model,
        searches=bounds.web_search_max_uses,
        fetches=bounds.web_fetch_max_uses,
        executions=bounds.code_execution_max_uses,
    )
    for inner in bounds.iterations:
        tokens = (inner.input_tokens, inner.max_tokens, inner.uses)
        lines += _token_lines(book, book.rates_for(inner.model), bounds, tokens=tokens, at=at, is_inner=True)
    return Cost.of(tuple(lines))


def dearest_case(book: PriceBook, bounds: CallBounds, *, models: Iterable[str], at: datetime) -> Cost:
    """The highest worst case of the models that could serve the call; one without a price refuses them all."""
    dearest: Cost | None = None
    for model in models:
        cost = worst_case(book, bounds, model=model, at=at)
        if dearest is None or cost.exceeds(dearest):
            dearest = cost
    if dearest is None:
        raise UnpricedModelError("")
    return dearest


def _token_lines(
    book: PriceBook,
    rates: ModelRates,
    bounds: CallBounds,
    *,
    tokens: tuple[int, int | None, int],
    at: datetime,
    is_inner: bool = False,
) -> list[Line]:
    input_tokens, max_tokens, uses = tokens
    output_tokens = rates.max_output_tokens if max_tokens is None else max_tokens
    geo, speed = bounds.inference_geo, bounds.speed
    if is_inner:
        geo, speed = rates.geo_or_none(geo), rates.speed_or_standard(speed)
    ratio = ratio_of(book, rates, geo=geo, batch=bounds.batch)
    rows = _rows_within(rates, input_tokens, speed=speed, at=at)
    kind, unit_nano = _dearest_input(rows, bounds.cache)
    output_nano = max(row.output_nano for row in rows)
    return [
        Line(kind, rates.model, input_tokens * uses, unit_nano, *ratio),
        Line(LineKind.OUTPUT, rates.model, output_tokens * uses, output_nano, *ratio),
    ]


def _rows_within(rates: ModelRates, input_tokens: int, *, speed: str | None, at: datetime) -> list[TokenRates]:
    """Each row that a prompt of up to that size can meet; a call that asks for speed may be served without it."""
    tiers = rates.tiers_at(at, speed=speed)
    if speed not in {None, "", "standard"}:
        tiers += rates.tiers_at(at, speed=None)
    return [tier.rates for tier in tiers if tier.above_prompt_tokens == 0 or input_tokens > tier.above_prompt_tokens]


def _dearest_input(rows: list[TokenRates], cache: CacheUse) -> tuple[LineKind, int]:
    prices: dict[LineKind, int] = {
        LineKind.INPUT: max(row.input_nano for row in rows),
        LineKind.CACHE_READ: max(row.cache_read_nano for row in rows),
    }
    if cache >= CacheUse.FIVE_MINUTES:
        prices[LineKind.CACHE_WRITE_5M] = max(row.cache_write_5m_nano for row in rows)
    if cache >= CacheUse.ONE_HOUR:
        prices[LineKind.CACHE_WRITE_1H] = max(row.cache_write_1h_nano for row in rows)
    kind = max(prices, key=prices.__getitem__)
    return kind, prices[kind]
