"""What a booked call costs by another version of the price book."""

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from contracts.gateway import Counts
from contracts.money import MAX_AMOUNT
from ledger.domain.plans import ORDINARY, PlanRates, Plans
from ledger.domain.pricing import DUPLICATE, ORPHANED
from ledger.domain.transfers import TransferKind
from rating import Iteration, PriceBook, RatingError, TokenCounts, Usage, charge, operation_charge
from rating.burning import Room, Value, burn
from rating.plan_tokens import plan_tokens_of

WHOLE_BPS: Final = 10_000
_STANDARD: Final = frozenset({None, "", "standard"})
_TIERS: Final = frozenset({None, "", "standard", "priority"})
_GEOS: Final = frozenset({None, "", "global", "not_available"})
_CLASSES: Final = tuple(Counts.model_fields)


Place = tuple[UUID, UUID]
"""Account and call."""


class Price(NamedTuple):
    """What a call is charged in credits, and what it cost us."""

    price_nano: int
    cost_nano: int


class Booked(NamedTuple):
    """A charge and what is needed to rate it again; columns in the order of the repository's query."""

    account_id: UUID
    call_id: UUID
    price_nano: int
    cost_nano: int
    outcome: str
    markup_bps: int
    model: str
    admitted_at: Any
    plan_id: str | None
    plan_version: int | None
    plan_tokens: int
    plan_requests: int
    overage_nano: int
    input_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cache_read_tokens: int
    output_tokens: int
    web_search_requests: int
    web_fetch_requests: int
    code_execution_requests: int
    iterations: Any
    operation: Any
    service_tier: str | None
    inference_geo: str | None
    speed: str | None
    first_seq: int | None
    last_seq: int | None
    project_id: UUID | None = None
    api_key_id: UUID | None = None
    user_id: UUID | None = None


_FIRST_COUNT: Final = Booked._fields.index("input_tokens")
_tokens: Final[Callable[[Booked], tuple[int, ...]]] = itemgetter(*range(_FIRST_COUNT, _FIRST_COUNT + 5))


def place_of(call: Booked) -> Place:
    return call[0], call[1]


class UnratedError(Exception):
    """A call that the version cannot rate, or whose detail is archived; it stays as it is."""


class Correction(NamedTuple):
    """A call whose price or cost is another by the new version."""

    call: Booked
    new: Price

    @property
    def price_difference_nano(self) -> int:
        return self.new.price_nano - self.call.price_nano

    @property
    def cost_difference_nano(self) -> int:
        return self.new.cost_nano - self.call.cost_nano

    @property
    def moves(self) -> bool:
        return self.new[0] != self.call[2] or self.new[1] != self.call[3]


class Burnt(NamedTuple):
    """What is left to give back of one movement of a call."""

    seq: int
    source: str
    target: str
    unit: str
    amount: int
    grant_id: UUID | None


def left_of(transfers: Iterable[Any]) -> list[Burnt]:
    """What a call has taken and not got back yet, first things first: each time, the last of it was given back."""
    left: dict[str, list[Burnt]] = {}
    for one in sorted(transfers, key=lambda transfer: transfer.seq):
        taken = left.setdefault(one.unit, [])
        if one.kind in (TransferKind.DEDUCTION, TransferKind.CORRECTION):
            taken.append(Burnt(one.seq, one.source, one.target, one.unit, one.amount, one.grant_id))
        elif one.kind == TransferKind.REVERSAL:
            _give_back(taken, one.amount)
    return [burnt for taken in left.values() for burnt in taken]


def _give_back(taken: list[Burnt], amount: int) -> None:
    while amount and taken:
        last = taken.pop()
        if last.amount > amount:
            taken.append(last._replace(amount=last.amount - amount))
        amount -= min(amount, last.amount)


class Rerater:
    """One version of the price book, applied to calls that are booked."""

    def __init__(self, book: PriceBook, plans: Plans) -> None:
        self._book = book
        self._plans = plans
        self._rates = book.rates

    def price(self, call: Booked) -> Price:
        """The markup, the plan and the outcome stay as stamped. Raises `UnratedError`."""
        if call.outcome in {ORPHANED, DUPLICATE}:
            return Price(call.price_nano, call.cost_nano)
        if call.first_seq is None:
            raise UnratedError("archived")
        whole = self._plain(call) or self._exact(call)
        if max(whole) > MAX_AMOUNT:
            raise UnratedError("beyond all bounds")
        if call.outcome == "refused" and not call.output_tokens:
            return Price(0, whole.cost_nano)
        if call.plan_id is None:
            return whole
        terms = self._terms(call)
        if call.plan_tokens or call.plan_requests or call.overage_nano or terms.overage_policy == "warn":
            return Price(self._in_credits(call, whole.price_nano, terms), whole.cost_nano)
        return whole

    def _terms(self, call: Booked) -> PlanRates:
        if call.plan_id is None or call.plan_version is None:
            return ORDINARY
        return self._plans.get((call.plan_id, call.plan_version), ORDINARY)

    def _in_credits(self, call: Booked, price_nano: int, terms: PlanRates) -> int:
        """Tokens and requests pay the share that they paid; the price book moves only what credits pay."""
        if call.overage_nano and terms.nano_per_1k_tokens is not None:
            return call.price_nano
        tokens = plan_tokens_of(_usage(call), model=call.model, weights=terms.weights) if call.plan_tokens else 0
        room = Room(call.plan_requests, call.plan_tokens, MAX_AMOUNT)
        due_nano = burn(
            Value(tokens, price_nano, price_nano), room, request_max_price_nano=terms.request_max_price_nano
        ).credit_nano
        return min(due_nano, call.price_nano) if terms.overage_policy == "warn" else due_nano

    def _plain(self, call: Booked) -> Price | None:
        """Most calls: one model, no tools, no options; the same as `rating.charge`, which a test holds against it."""
        if (
            call.iterations
            or call.operation
            or call.web_search_requests
            or call.web_fetch_requests
            or call.code_execution_requests
            or call.speed not in _STANDARD
            or call.inference_geo not in _GEOS
            or call.service_tier not in _TIERS
        ):
            return None
        a, b, c, d, e = _tokens(call)
        if not (a or b or c or d or e):
            return Price(0, 0)
        rates = self._rates.get(call.model)
        if rates is None:
            return None
        try:
            row = rates.rates_at(call.admitted_at, speed=None, prompt_tokens=a + b + c + d)
        except RatingError:
            return None
        cost_nano = a * row[0] + b * row[1] + c * row[2] + d * row[3] + e * row[4]
        return Price(-(-cost_nano * (WHOLE_BPS + call.markup_bps) // WHOLE_BPS), cost_nano)

    def _exact(self, call: Booked) -> Price:
        try:
            if call.operation:
                quantity = int(call.operation["quantity"])
                rated = operation_charge(self._book, call.operation["name"], quantity, call.markup_bps)
            else:
                usage = _usage(call)
                rated = charge(self._book, usage, model=call.model, at=call.admitted_at, markup_bps=call.markup_bps)
        except RatingError as error:
            raise UnratedError(str(error)) from error
        return Price(rated.price_nano, rated.cost_nano)


def _usage(call: Booked) -> Usage:
    return Usage(
        counts=TokenCounts(**dict(zip(_CLASSES, _counts(call), strict=True))),
        iterations=tuple(
            Iteration(inner["model"], TokenCounts(**Counts.model_validate(inner["counts"]).model_dump()))
            for inner in call.iterations or ()
        ),
        service_tier=call.service_tier,
        inference_geo=call.inference_geo,
        speed=call.speed,
    )


def _counts(call: Booked) -> tuple[int, ...]:
    counts: Any = call[_FIRST_COUNT : _FIRST_COUNT + len(_CLASSES)]
    return cast("tuple[int, ...]", counts)
