"""The price of a plain call, by the stamped book's compiled rates: what `rate` finds, without an object per line.

Plain is a model call of one model without server tools, at standard speed and the provider's own choice of geography.
A test holds the two against each other.
"""

from collections.abc import Mapping
from typing import Final

from contracts.gateway import UsageRecorded
from contracts.money import MAX_AMOUNT
from ledger.domain.pricing import RatedCall, is_free
from rating import PriceBook, RatingError

WHOLE_BPS: Final = 10_000
STANDARD: Final = frozenset({None, "", "standard"})
TIERS: Final = frozenset({None, "", "standard", "priority"})
GEOS: Final = frozenset({None, "", "global", "not_available"})
MOST_TOKENS: Final = 1_000_000_000


def rate_plain(event: UsageRecorded, *, digest: bytes, books: Mapping[int, PriceBook]) -> RatedCall | None:
    """None for whatever is not plain, or not known, or not sound."""
    book = books.get(event.price_book_version)
    if book is None or not _is_plain(event):
        return None
    model = event.model_served or event.model_asked
    rates = book.rates.get(model)
    counts = event.counts
    fresh, short, long, read = (
        counts.input_tokens,
        counts.cache_write_5m_tokens,
        counts.cache_write_1h_tokens,
        counts.cache_read_tokens,
    )
    made, prompt = counts.output_tokens, fresh + short + long + read
    if rates is None or not prompt + made > 0 or max(prompt, made) > MOST_TOKENS:
        return None
    try:
        row = rates.rates_at(event.admitted_at, speed=None, prompt_tokens=prompt)
    except RatingError:
        return None
    cost_nano = fresh * row[0] + short * row[1] + long * row[2] + read * row[3] + made * row[4]
    price_nano = -(-cost_nano * (WHOLE_BPS + event.markup_bps) // WHOLE_BPS)
    if price_nano > MAX_AMOUNT:
        return None
    return RatedCall(event, digest, model, 0 if is_free(event) else price_nano, cost_nano, book.version)


def _is_plain(event: UsageRecorded) -> bool:
    counts = event.counts
    return (
        event.operation is None
        and not event.iterations
        and not counts.web_search_requests
        and not counts.web_fetch_requests
        and not counts.code_execution_requests
        and event.speed in STANDARD
        and event.inference_geo in GEOS
        and event.service_tier in TIERS
    )
