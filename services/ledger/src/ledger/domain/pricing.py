"""What a call is charged and what it cost (money.md 13, 19)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from contracts.gateway import Counts, UsageRecorded
from contracts.money import MAX_AMOUNT
from kit.errors import MissingReferentError
from ledger.errors import AmountError
from rating import (
    Charge,
    Iteration,
    PriceBook,
    QuantityError,
    TokenCounts,
    UnpricedModelError,
    UnpricedOptionError,
    Usage,
    charge,
)

ORPHANED: Final = "orphaned"
NOTHING: Final = Counts()


CallKey = int
"""Account and call in one number: a UUID hashes in Python, and every call is looked up many times."""


def call_key(account_id: UUID, call_id: UUID) -> CallKey:
    return (account_id.int << 128) | call_id.int


@dataclass(slots=True)
class RatedCall:
    """A usage event with its price; `free` calls cost us, not the customer."""

    event: UsageRecorded
    digest: bytes
    model: str
    price_nano: int
    cost_nano: int
    book_version: int
    key: CallKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = call_key(self.event.account_id, self.event.id)

    @property
    def is_orphaned(self) -> bool:
        return self.event.outcome == ORPHANED


def rate(event: UsageRecorded, *, digest: bytes, books: Mapping[int, PriceBook]) -> RatedCall:
    """Rate at what was stamped at admission, at the model that served.

    Raises `MissingReferentError` for a version or a price that is not here yet, `AmountError` for absurd counts.
    """
    model = event.model_served or event.model_asked
    if event.price_book_version not in books:
        raise MissingReferentError(book_referent(event.price_book_version))
    if not any(event.counts.__dict__.values()) and not event.iterations:
        return RatedCall(event, digest, model, 0, 0, event.price_book_version)
    rated = _charge(event, model=model, books=books)
    if max(rated.price_nano, rated.cost_nano) > MAX_AMOUNT:
        raise AmountError("the call's price is beyond all bounds", field="counts")
    price_nano = 0 if is_free(event) else rated.price_nano
    return RatedCall(event, digest, model, price_nano, rated.cost_nano, rated.book_version)


def is_free(event: UsageRecorded) -> bool:
    """Orphans, and refusals before any output; a failure before the first content byte comes with counts of zero."""
    return event.outcome == ORPHANED or (event.outcome == "refused" and event.counts.output_tokens == 0)


def usage_of(event: UsageRecorded) -> Usage:
    return Usage(
        counts=_counts(event.counts),
        iterations=tuple(Iteration(inner.model, _counts(inner.counts)) for inner in event.iterations),
        service_tier=event.service_tier,
        inference_geo=event.inference_geo,
        speed=event.speed,
    )


def book_referent(version: int) -> str:
    return f"price-book:{version}"


def model_referent(model: str) -> str:
    return f"price:{model}"


def _charge(event: UsageRecorded, *, model: str, books: Mapping[int, PriceBook]) -> Charge:
    """By the stamped book; if it cannot price what the provider served, by the first later one that can."""
    missing = model
    for version in sorted(version for version in books if version >= event.price_book_version):
        try:
            return charge(
                books[version], usage_of(event), model=model, at=event.admitted_at, markup_bps=event.markup_bps
            )
        except (UnpricedModelError, UnpricedOptionError) as error:
            missing = error.model
        except QuantityError as error:
            raise AmountError(f"the call cannot be rated: {error}", field="counts") from error
    raise MissingReferentError(model_referent(missing))


def _counts(counts: Counts) -> TokenCounts:
    return TokenCounts(
        input_tokens=counts.input_tokens,
        cache_write_5m_tokens=counts.cache_write_5m_tokens,
        cache_write_1h_tokens=counts.cache_write_1h_tokens,
        cache_read_tokens=counts.cache_read_tokens,
        output_tokens=counts.output_tokens,
        web_search_requests=counts.web_search_requests,
    )
