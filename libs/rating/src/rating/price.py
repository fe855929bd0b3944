"""What a call costs and what it is sold for, in integers.

The cost stays an exact fraction. Two amounts are made of it, each rounded up to a nano-credit exactly once and
neither from the other: the price (cost and markup together) and the cost as it is booked beside the price.
"""

from dataclasses import dataclass
from datetime import datetime

from rating.book import PriceBook
from rating.cost import Cost, Line
from rating.errors import UnpricedOptionError
from rating.rates import LineKind, ModelRates, TokenRates
from rating.rows import ServerToolPrices
from rating.usage import TokenCounts, Usage

TOKEN_KINDS = (
    LineKind.INPUT,
    LineKind.CACHE_WRITE_5M,
    LineKind.CACHE_WRITE_1H,
    LineKind.CACHE_READ,
    LineKind.OUTPUT,
)
# Priority capacity is bought outside of calls; within one it counts at the standard price.
PRICED_TIERS = frozenset({None, "", "standard", "priority", "batch"})
WHOLE_BPS = 10_000


@dataclass(frozen=True, slots=True)
class Charge:
    """A call's price and cost, and the version and markup that made them."""

    price_nano: int
    cost_nano: int
    book_version: int
    markup_bps: int
    lines: tuple[Line, ...]


def cost_of(book: PriceBook, usage: Usage, *, model: str, at: datetime) -> Cost:
    """The exact cost of a call that was admitted at `at` (aware) and served by `model`."""
    rates = book.rates_for(model)
    if usage.service_tier not in PRICED_TIERS:
        raise UnpricedOptionError(model, option="service_tier", value=str(usage.service_tier))
    ratio = ratio_of(book, rates, geo=usage.inference_geo, batch=usage.is_batch)
    lines = _lines(book, rates, usage.counts, at=at, speed=usage.speed, ratio=ratio)
    for iteration in usage.iterations:
        inner = book.rates_for(iteration.model)
        geo, speed = inner.geo_or_none(usage.inference_geo), inner.speed_or_standard(usage.speed)
        ratio = ratio_of(book, inner, geo=geo, batch=usage.is_batch)
        lines += _lines(book, inner, iteration.counts, at=at, speed=speed, ratio=ratio)
    return Cost.of(tuple(lines))


def total_of(book: PriceBook, usage: Usage, *, model: str, at: datetime) -> Cost:
    """`cost_of` without its lines: for who needs the sum only, on every call."""
    counts = usage.counts
    is_plain = not (counts.web_search_requests or counts.web_fetch_requests or counts.code_execution_requests)
    if usage.iterations or not is_plain:
        return cost_of(book, usage, model=model, at=at)
    rates = book.rates_for(model)
    if usage.service_tier not in PRICED_TIERS:
        raise UnpricedOptionError(model, option="service_tier", value=str(usage.service_tier))
    geo, batch = usage.inference_geo, usage.batch or usage.service_tier == "batch"
    numerator, denominator = (1, 1) if geo is None and not batch else ratio_of(book, rates, geo=geo, batch=batch)
    tiers = rates.tiers_at(at, speed=usage.speed)
    # Most models have one price whatever the size of the prompt.
    row = tiers[0].rates
    if len(tiers) > 1:
        row = rates.rates_at(at, speed=usage.speed, prompt_tokens=counts.prompt_tokens)
    nano = (
        counts.input_tokens * row[0]
        + counts.cache_write_5m_tokens * row[1]
        + counts.cache_write_1h_tokens * row[2]
        + counts.cache_read_tokens * row[3]
        + counts.output_tokens * row[4]
    )
    return Cost(nano * numerator, denominator, ())


def price_of(cost: Cost, *, markup_bps: int) -> int:
    """The price in nano-credits: cost and markup, rounded up once."""
    denominator = cost.denominator * WHOLE_BPS
    return -(-cost.numerator * (WHOLE_BPS + markup_bps) // denominator)


def charge(book: PriceBook, usage: Usage, *, model: str, at: datetime, markup_bps: int) -> Charge:
    cost = cost_of(book, usage, model=model, at=at)
    return Charge(
        price_nano=price_of(cost, markup_bps=markup_bps),
        cost_nano=cost.nano,
        book_version=book.version,
        markup_bps=markup_bps,
        lines=cost.lines,
    )


def ratio_of(book: PriceBook, rates: ModelRates, *, geo: str | None, batch: bool) -> tuple[int, int]:
    """What multiplies every token price of the request; server tools are not multiplied."""
    numerator, denominator = rates.geo_ratio(geo)
    if batch:
        return numerator * book.batch.numerator, denominator * book.batch.denominator
    return numerator, denominator


def tool_lines(tools: ServerToolPrices, *, model: str, searches: int, fetches: int, executions: int) -> list[Line]:
    lines: list[Line] = []
    if searches:
        lines.append(Line(LineKind.WEB_SEARCH, model, searches, tools.web_search_nano))
    if fetches:
        lines.append(Line(LineKind.WEB_FETCH, model, fetches, tools.web_fetch_nano))
    if executions:
        unit_nano = tools.code_execution_nano
        if unit_nano is None:
            raise UnpricedOptionError(model, option="server tool", value="code_execution")
        lines.append(Line(LineKind.CODE_EXECUTION, model, executions, unit_nano))
    return lines


def _lines(
    book: PriceBook,
    rates: ModelRates,
    counts: TokenCounts,
    *,
    at: datetime,
    speed: str | None,
    ratio: tuple[int, int],
) -> list[Line]:
    row: TokenRates = rates.rates_at(at, speed=speed, prompt_tokens=counts.prompt_tokens)
    model = rates.model
    lines = [
        Line(kind, model, quantity, unit_nano, *ratio)
        for kind, quantity, unit_nano in zip(TOKEN_KINDS, counts.tokens, row, strict=True)
        if quantity
    ]
    searches, fetches, executions = counts.server_tool_requests
    if searches or fetches or executions:
        # The provider runs code without charge in a call that searches or fetches.
        paid_executions = 0 if searches or fetches else executions
        lines += tool_lines(
            book.server_tools, model=model, searches=searches, fetches=fetches, executions=paid_executions
        )
    return lines
