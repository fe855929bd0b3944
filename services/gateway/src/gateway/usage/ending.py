"""How a call ended and what is charged for it (money.md 13): pure, from what was seen."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from contracts.gateway import Basis, Outcome
from gateway.usage.seen import UsageSeen
from rating import Iteration, TokenCounts, Usage

Cut = Literal["client_gone", "shutdown", "swept", "out_of_credit", "internal"]
"""Why we ended a call ourselves."""

_NOTHING: Final = TokenCounts()


@dataclass(slots=True)
class Progress:
    """What is known of a call while it runs; `sent`: a provider may have seen it."""

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
    sent: bool = True
    attempts: int = 0
    first_byte_at: datetime | None = None


@dataclass(slots=True)
class Ending:
    """The outcome, and the counts that are charged: zero when the call is free; `basis_reason` says why no count is."""

    outcome: Outcome
    basis: Basis
    basis_reason: str | None = None
    model_served: str | None = None
    counts: TokenCounts = _NOTHING
    iterations: tuple[Iteration, ...] = ()
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    error_type: str | None = None

    def usage(self) -> Usage:
        """The same for `rating`."""
        return Usage(
            counts=self.counts,
            iterations=self.iterations,
            service_tier=self.service_tier,
            inference_geo=self.inference_geo,
            speed=self.speed,
        )


def ending_of(
    progress: Progress, *, model_asked: str, likely_input_tokens: int, is_priced: Callable[[str], bool]
) -> Ending:
    """`model_asked` is the priced model that was to serve."""
    outcome = _outcome(progress)
    seen = progress.seen
    if seen is None or _is_free(progress, outcome):
        return _unseen(progress, outcome, model_asked, likely_input_tokens=likely_input_tokens, is_priced=is_priced)
    served = _priced(seen.serving_model() or model_asked, instead=model_asked, is_priced=is_priced)
    final = seen.said_anything and (progress.complete or seen.stop_reason is not None)
    iterations = seen.iterations(serving_model=served)
    return Ending(
        outcome,
        "provider" if final else "estimated",
        basis_reason=None if final else _why_estimated(progress),
        model_served=served,
        counts=seen.counts() if final else _estimated(progress, seen, likely_input_tokens=likely_input_tokens),
        iterations=_priced_iterations(iterations, instead=served, is_priced=is_priced) if iterations else (),
        service_tier=seen.service_tier,
        inference_geo=seen.inference_geo,
        speed=seen.speed,
        error_type=_error_type(progress),
    )


def _unseen(
    progress: Progress,
    outcome: Outcome,
    model_asked: str,
    *,
    likely_input_tokens: int,
    is_priced: Callable[[str], bool],
) -> Ending:
    """An ending that is free, or that nothing but what was delivered speaks for."""
    named = None
    if progress.seen is not None:
        named = _priced(progress.seen.serving_model() or model_asked, instead=model_asked, is_priced=is_priced)
    if _is_free(progress, outcome):
        reason = _why_free(progress, outcome)
        return Ending(outcome, "none", basis_reason=reason, model_served=named, error_type=_error_type(progress))
    return Ending(
        outcome,
        "estimated",
        basis_reason=_why_estimated(progress),
        model_served=named or model_asked,
        counts=_estimated(progress, UsageSeen(), likely_input_tokens=likely_input_tokens),
        error_type=_error_type(progress),
    )


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
    if not progress.sent or outcome == "refused" or (progress.status is not None and progress.status != 200):
        return True
    return not (progress.complete or progress.has_content or outcome == "client_gone")


def _why_free(progress: Progress, outcome: Outcome) -> str:
    if outcome == "refused":
        return "refused"
    return "failed_before_content" if progress.sent else "not_sent"


def _why_estimated(progress: Progress) -> str:
    """What kept the provider's own last count from us."""
    if progress.cut is not None:
        return progress.cut
    if progress.complete:
        return "no_count"
    return "provider_error" if progress.error_event else "broken_off"


def _error_type(progress: Progress) -> str | None:
    if progress.complete:
        return None
    return progress.error_type or progress.cut or progress.broken


def _estimated(progress: Progress, seen: UsageSeen, *, likely_input_tokens: int) -> TokenCounts:
    counts = seen.counts()
    output_tokens = max(counts.output_tokens, progress.delivered_tokens)
    if not seen.said_anything:
        return TokenCounts(input_tokens=likely_input_tokens, output_tokens=output_tokens)
    return TokenCounts(
        input_tokens=counts.input_tokens,
        cache_write_5m_tokens=counts.cache_write_5m_tokens,
        cache_write_1h_tokens=counts.cache_write_1h_tokens,
        cache_read_tokens=counts.cache_read_tokens,
        output_tokens=output_tokens,
        web_search_requests=counts.web_search_requests,
        web_fetch_requests=counts.web_fetch_requests,
        code_execution_requests=counts.code_execution_requests,
    )


def _priced_iterations(
    iterations: tuple[Iteration, ...], *, instead: str, is_priced: Callable[[str], bool]
) -> tuple[Iteration, ...]:
    return tuple(Iteration(_priced(one.model, instead=instead, is_priced=is_priced), one.counts) for one in iterations)


def _priced(model: str, *, instead: str, is_priced: Callable[[str], bool]) -> str:
    """A model that the price book does not know would park the event for ever; it is charged as what was asked."""
    return model if is_priced(model) else instead
