"""How a call ended and what is charged for it (money.md 13): pure, from what was seen."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from contracts.gateway import Basis, Counts, IterationCounts, Outcome
from gateway.usage.seen import UsageSeen
from rating import Iteration, PriceBook, TokenCounts, Usage, cost_of, price_of

Cut = Literal["client_gone", "shutdown", "swept"]


@dataclass(slots=True)
class Progress:
    """What is known of a call while it runs."""

    status: int | None = None
    upstream_request_id: str | None = None
    seen: UsageSeen | None = None
    has_content: bool = False
    complete: bool = False
    delivered_tokens: int = 0
    error_type: str | None = None
    error_event: bool = False
    broken: str | None = None
    cut: Cut | None = None
    client_gone: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome, and the counts that are charged: zero when the call is free."""

    outcome: Outcome
    basis: Basis
    model_served: str | None = None
    counts: Counts = field(default_factory=Counts)
    iterations: tuple[IterationCounts, ...] = ()
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    error_type: str | None = None

    def usage(self) -> Usage:
        """The same for `rating`."""
        return Usage(
            counts=TokenCounts(**self.counts.model_dump()),
            iterations=tuple(Iteration(one.model, TokenCounts(**one.counts.model_dump())) for one in self.iterations),
            service_tier=self.service_tier,
            inference_geo=self.inference_geo,
            speed=self.speed,
        )


def ending_of(
    progress: Progress, *, model_asked: str, likely_input_tokens: int, is_priced: Callable[[str], bool]
) -> Ending:
    outcome = _outcome(progress)
    seen = progress.seen or UsageSeen()
    served = _priced(seen.serving_model() or model_asked, instead=model_asked, is_priced=is_priced)
    if _is_free(progress, outcome):
        named = served if progress.seen else None
        return Ending(outcome, "none", model_served=named, error_type=_error_type(progress))
    final = seen.said_anything and (progress.complete or seen.stop_reason is not None)
    iterations = (
        one.model_copy(update={"model": _priced(one.model, instead=served, is_priced=is_priced)})
        for one in seen.iterations(serving_model=served)
    )
    return Ending(
        outcome,
        "provider" if final else "estimated",
        model_served=served,
        counts=seen.counts() if final else _estimated(progress, seen, likely_input_tokens=likely_input_tokens),
        iterations=tuple(iterations),
        service_tier=seen.service_tier,
        inference_geo=seen.inference_geo,
        speed=seen.speed,
        error_type=_error_type(progress),
    )


def price_of_ending(ending: Ending, *, book: PriceBook, model: str, at: datetime, markup_bps: int) -> int:
    """What the hold becomes; the ledger charges the same from the event."""
    if ending.basis == "none":
        return 0
    cost = cost_of(book, ending.usage(), model=ending.model_served or model, at=at)
    return price_of(cost, markup_bps=markup_bps)


def _outcome(progress: Progress) -> Outcome:
    if progress.complete:
        refused = progress.seen is not None and progress.seen.stop_reason == "refusal" and not progress.has_content
        if refused:
            return "refused"
        return "client_gone" if progress.client_gone else "completed"
    if progress.cut == "client_gone":
        return "client_gone"
    if progress.error_event or progress.status != 200:
        return "truncated" if progress.cut else "upstream_error"
    return "truncated"


def _is_free(progress: Progress, outcome: Outcome) -> bool:
    if outcome == "refused" or (progress.status is not None and progress.status != 200):
        return True
    return not (progress.complete or progress.has_content or outcome == "client_gone")


def _error_type(progress: Progress) -> str | None:
    if progress.complete:
        return None
    return progress.error_type or progress.cut or progress.broken


def _estimated(progress: Progress, seen: UsageSeen, *, likely_input_tokens: int) -> Counts:
    counts = seen.counts()
    output_tokens = max(counts.output_tokens, progress.delivered_tokens)
    if seen.said_anything:
        return counts.model_copy(update={"output_tokens": output_tokens})
    return Counts(input_tokens=likely_input_tokens, output_tokens=output_tokens)


def _priced(model: str, *, instead: str, is_priced: Callable[[str], bool]) -> str:
    """A model that the price book does not know would park the event for ever; it is charged as what was asked."""
    return model if is_priced(model) else instead
