"""What a call is charged and what it cost (money.md 13, 19)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from contracts.gateway import Counts, UsageRecorded
from contracts.money import MAX_AMOUNT
from kit.errors import MissingReferentError
from ledger.domain.plans import ORDINARY, PlanRates, Plans
from ledger.errors import AmountError
from rating import (
    Charge,
    Iteration,
    PriceBook,
    QuantityError,
    TokenCounts,
    UnpricedModelError,
    UnpricedOperationError,
    UnpricedOptionError,
    Usage,
    charge,
    operation_charge,
)
from rating.plan_tokens import plan_tokens_of

ORPHANED: Final = "orphaned"
DUPLICATE: Final = "duplicate"
"""The outcome of a call whose idempotency key another call had used before: it is booked at zero."""
NOTHING: Final = Counts()


CallKey = int
"""Account and call in one number: a UUID hashes in Python, and every call is looked up many times."""


def call_key(account_id: UUID, call_id: UUID) -> CallKey:
    return (account_id.int << 128) | call_id.int


@dataclass(slots=True)
class RatedCall:
    """A usage event with its price; `free` calls cost us, not the customer.

    `value_nano` is the whole price, whatever pays it; once the call is posted `price_nano` is what was asked in
    credits, overage and debt included, beside what was taken in the plan's own units, and `recognised_nano` what of it
    is revenue.
    `duplicate_of` is the call that used the idempotency key first; `is_told_again`: this end of the same call came
    before, told by another gateway at another moment.
    """

    event: UsageRecorded
    digest: bytes
    model: str
    price_nano: int
    cost_nano: int
    book_version: int
    key: CallKey = field(init=False)
    duplicate_of: UUID | None = None
    is_told_again: bool = False
    terms: PlanRates = ORDINARY
    value_nano: int = field(init=False)
    plan_tokens: int = 0
    plan_requests: int = 0
    overage_nano: int = 0
    recognised_nano: int = 0

    def __post_init__(self) -> None:
        self.key = call_key(self.event.account_id, self.event.id)
        self.value_nano = self.price_nano

    @property
    def is_settled_otherwise(self) -> bool:
        """Whether the charge says more than the price that was claimed."""
        return bool(
            self.recognised_nano
            or self.plan_tokens
            or self.plan_requests
            or self.overage_nano
            or self.price_nano != self.value_nano
        )

    def counted_tokens(self) -> int:
        """What the call takes of an allowance in tokens; nothing where it is free."""
        if not self.value_nano or self.event.operation is not None:
            return 0
        return plan_tokens_of(usage_of(self.event), model=self.model, weights=self.terms.weights)

    @property
    def is_orphaned(self) -> bool:
        return self.event.outcome == ORPHANED

    @property
    def outcome(self) -> str:
        return self.event.outcome if self.duplicate_of is None else DUPLICATE

    def repeat(self, first: UUID) -> None:
        """Book this call at zero: its idempotency key belongs to another one."""
        self.duplicate_of = first
        self.price_nano = self.value_nano = self.cost_nano = 0


def rate(
    event: UsageRecorded, *, digest: bytes, books: Mapping[int, PriceBook], plans: Plans | None = None
) -> RatedCall:
    """Rate at what was stamped at admission, at the model that served.

    Raises `MissingReferentError` for a version or a price that is not here yet, `AmountError` for absurd counts.
    """
    call = _rate(event, digest=digest, books=books)
    return call if plans is None else with_terms(call, plans)


def with_terms(call: RatedCall, plans: Plans) -> RatedCall:
    """The call as the plan version pays for it that was stamped at admission."""
    event = call.event
    if event.plan_id is not None and event.plan_version is not None:
        terms = plans.get((event.plan_id, event.plan_version))
        if terms is None:
            raise MissingReferentError(plan_referent(event.plan_id, event.plan_version))
        call.terms = terms
    return call


def _rate(event: UsageRecorded, *, digest: bytes, books: Mapping[int, PriceBook]) -> RatedCall:
    model = event.operation.name if event.operation else event.model_served or event.model_asked
    if event.price_book_version not in books:
        raise MissingReferentError(book_referent(event.price_book_version))
    if event.operation is None and not has_counts(event.counts) and not event.iterations:
        return RatedCall(event, digest, model, 0, 0, event.price_book_version)
    rated = _charge(event, model=model, books=books)
    if event.operation and event.outcome == ORPHANED:
        return RatedCall(event, digest, model, 0, 0, rated.book_version)
    if max(rated.price_nano, rated.cost_nano) > MAX_AMOUNT:
        raise AmountError("the call's price is beyond all bounds", field="counts")
    price_nano = 0 if is_free(event) else rated.price_nano
    return RatedCall(event, digest, model, price_nano, rated.cost_nano, rated.book_version)


def has_counts(counts: Counts) -> bool:
    return any(getattr(counts, name) for name in Counts.model_fields)


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


def plan_referent(plan_id: str, version: int) -> str:
    return f"plan:{plan_id}:{version}"


def model_referent(model: str) -> str:
    return f"price:{model}"


def _charge(event: UsageRecorded, *, model: str, books: Mapping[int, PriceBook]) -> Charge:
    """By the stamped book; if it cannot price what the provider served, by the first later one that can."""
    missing = model
    for version in sorted(version for version in books if version >= event.price_book_version):
        try:
            return _charge_by(books[version], event, model=model)
        except UnpricedOperationError as error:
            missing = error.name
        except (UnpricedModelError, UnpricedOptionError) as error:
            missing = error.model
        except QuantityError as error:
            raise AmountError(f"the call cannot be rated: {error}", field="counts") from error
    raise MissingReferentError(model_referent(missing))


def _charge_by(book: PriceBook, event: UsageRecorded, *, model: str) -> Charge:
    if event.operation:
        return operation_charge(book, event.operation.name, event.operation.quantity, event.markup_bps)
    return charge(book, usage_of(event), model=model, at=event.admitted_at, markup_bps=event.markup_bps)


def _counts(counts: Counts) -> TokenCounts:
    return TokenCounts(
        input_tokens=counts.input_tokens,
        cache_write_5m_tokens=counts.cache_write_5m_tokens,
        cache_write_1h_tokens=counts.cache_write_1h_tokens,
        cache_read_tokens=counts.cache_read_tokens,
        output_tokens=counts.output_tokens,
        web_search_requests=counts.web_search_requests,
        web_fetch_requests=counts.web_fetch_requests,
        code_execution_requests=counts.code_execution_requests,
    )
