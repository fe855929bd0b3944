"""What a call can use and what that is worth in every unit, made from bounds that a surface read off the body.

Input at the dearest class that the body allows, output as far as `max_tokens`, and the dearest of the models that
could serve it, unit by unit (money.md 7, 20). docs/estimates.md states how far from the provider's count it is.
"""

from collections.abc import Sequence
from datetime import datetime
from math import lcm
from typing import Final, NamedTuple

from gateway.admission.terms import AccountTerms
from gateway.admission.types import Amounts
from gateway.catalog.estimate import Tariff, Tariffs
from gateway.errors import ModelApiError
from rating import CacheUse, PriceBook, UnpricedModelError, UnpricedOptionError
from rating.plan_tokens import WHOLE, ClassWeights
from rating.price import WHOLE_BPS

_LIKELY_OUTPUT_TOKENS: Final = 1_024
_MOST_VECTORS: Final = 1 << 14
# What a named tuple's own constructor calls; that one is written in Python, and made on every call it shows.
_new: Final = tuple.__new__


class Inner(NamedTuple):
    """Work that the totals leave out, each of `uses` times: an advisor's message, a compaction."""

    model: str
    input_tokens: int
    max_tokens: int
    uses: int


class Bounds(NamedTuple):
    """What a body allows. `is_windowed`: the provider refuses a prompt that is larger than the model's window."""

    input_tokens: int
    likely_input_tokens: int
    cache: CacheUse = CacheUse.NONE
    has_unknown_content: bool = False
    speed: str | None = None
    geo: str | None = None
    searches: int = 0
    fetches: int = 0
    executions: int = 0
    inner: tuple[Inner, ...] = ()
    is_windowed: bool = True


class Vector(NamedTuple):
    """A tariff under an account's terms: what a token of input or output is worth in each unit."""

    tariff: Tariff
    terms: AccountTerms
    hundredths_per_input: int
    hundredths_per_output: int
    markup_bps: int


class Worth(NamedTuple):
    """All but the output of one call at one model, and what a token of output adds; exact."""

    fixed: int
    per_output: int
    denominator: int
    hundredths: int
    hundredths_per_output: int
    markup_bps: int


class CallEstimate:
    """See `types.Estimate`; `vectors` are those of the models that could serve, the one that is to serve first."""

    __slots__ = ("_bounds", "_vectors", "_worths", "clamped_max_tokens", "likely_input_tokens", "max_tokens")

    def __init__(
        self, bounds: Bounds, vectors: Sequence[Vector], *, worths: Sequence[Worth], max_tokens: int, clamp: int | None
    ) -> None:
        self._bounds = bounds
        self._vectors = vectors
        self._worths = worths
        self.max_tokens = max_tokens
        self.clamped_max_tokens = clamp
        self.likely_input_tokens = bounds.likely_input_tokens

    def worst(self) -> Amounts:
        return self.with_output(self.max_tokens)

    def with_output(self, tokens: int) -> Amounts:
        worths = self._worths
        if len(worths) == 1:
            return self._amounts(worths[0], tokens)
        found = [self._amounts(worth, tokens) for worth in worths]
        return Amounts(
            credit_nano=max(one.credit_nano for one in found),
            tokens=max(one.tokens for one in found),
            overage_nano=max(one.overage_nano for one in found),
            rate_tokens=self.likely_input_tokens,
            cost_nano=max(one.cost_nano for one in found),
        )

    def likely(self) -> Amounts:
        bounds = self._bounds
        likely = Bounds(bounds.likely_input_tokens, bounds.likely_input_tokens, is_windowed=bounds.is_windowed)
        output_tokens = min(self.max_tokens, _LIKELY_OUTPUT_TOKENS, -(-self.max_tokens // 4))
        return self._amounts(_worth(likely, self._vectors[0]), output_tokens)

    def _amounts(self, worth: Worth, output_tokens: int) -> Amounts:
        fixed, per_output, denominator, hundredths, hundredths_per_output, markup_bps = worth
        numerator = fixed + per_output * output_tokens
        # The one rounding of a price (money.md 3); the cost is rounded beside it, never made of it.
        price_nano = -(-numerator * (WHOLE_BPS + markup_bps) // (denominator * WHOLE_BPS))
        tokens = -(-(hundredths + hundredths_per_output * output_tokens) // WHOLE)
        overage_nano = self._vectors[0].terms.overage_nano(tokens=tokens, price_nano=price_nano)
        cost_nano = -(-numerator // denominator)
        return _new(Amounts, (price_nano, tokens, 1, overage_nano, self.likely_input_tokens, cost_nano))


class Estimator:
    """One per process: remembers what tokens are worth, by model and by an account's terms."""

    def __init__(self) -> None:
        self._tariffs = Tariffs()
        self._book: PriceBook | None = None
        self._made: dict[tuple[str, str, CacheUse, str | None, str | None], Vector] = {}

    def vectors(
        self, bounds: Bounds, models: Sequence[str], *, book: PriceBook, terms: AccountTerms, at: datetime
    ) -> list[Vector]:
        """Raises `ModelApiError` for what has no price."""
        if book is not self._book or len(self._made) > _MOST_VECTORS:
            self._book = book
            self._made.clear()
        found = []
        for model in models:
            # By the digest: the accounts of a plan share what is remembered.
            key = (terms.digest, model, bounds.cache, bounds.speed, bounds.geo)
            vector = self._made.get(key)
            if vector is None or not vector.tariff.since <= at < vector.tariff.until:
                vector = self._made[key] = self._vector(bounds, model, book=book, terms=terms, at=at)
            found.append(vector)
        return found

    def of(
        self, bounds: Bounds, vectors: Sequence[Vector], *, book: PriceBook, at: datetime, limit: tuple[int, int | None]
    ) -> CallEstimate:
        """`limit` is the most output, and what must be written into the body for it."""
        max_tokens, clamp = limit
        worths = [_worth(bounds, vector) for vector in vectors]
        if bounds.searches or bounds.fetches or bounds.executions:
            nano = _tools_nano(bounds, book, model=vectors[0].tariff.model)
            worths = [worth._replace(fixed=worth.fixed + nano * worth.denominator) for worth in worths]
        if bounds.inner:
            extra = self._inner(bounds, book=book, terms=vectors[0].terms, at=at)
            worths = [_with_inner(worth, *extra) for worth in worths]
        return CallEstimate(bounds, vectors, worths=worths, max_tokens=max_tokens, clamp=clamp)

    def _vector(self, bounds: Bounds, model: str, *, book: PriceBook, terms: AccountTerms, at: datetime) -> Vector:
        try:
            tariff = self._tariffs.of(book, model, at=at, speed=bounds.speed, geo=bounds.geo)
        except UnpricedModelError as error:
            raise ModelApiError(404, f"model: {error.model}") from None
        except UnpricedOptionError as error:
            raise ModelApiError(400, f"{error.option}: {error.value!r} is not sold for {error.model}") from None
        weights = terms.weights.of(tariff.model)
        return Vector(tariff, terms, _heaviest(weights, bounds.cache), weights[4], terms.markup_for(tariff.model))

    def _inner(self, bounds: Bounds, *, book: PriceBook, terms: AccountTerms, at: datetime) -> tuple[int, int, int]:
        """Numerator, denominator and hundredths of a plan token of the inner work."""
        numerator, denominator, hundredths = 0, 1, 0
        for inner in bounds.inner:
            rates = book.rates.get(inner.model)
            if rates is None:
                raise ModelApiError(404, f"model: {inner.model}")
            own = Bounds(
                inner.input_tokens,
                0,
                bounds.cache,
                bounds.has_unknown_content,
                rates.speed_or_standard(bounds.speed),
                rates.geo_or_none(bounds.geo),
            )
            vector = self._vector(own, inner.model, book=book, terms=terms, at=at)
            worth = _worth(own, vector)
            cost = (worth.fixed + worth.per_output * inner.max_tokens) * inner.uses
            common = lcm(denominator, worth.denominator)
            numerator = numerator * (common // denominator) + cost * (common // worth.denominator)
            denominator = common
            hundredths += (worth.hundredths + worth.hundredths_per_output * inner.max_tokens) * inner.uses
        return numerator, denominator, hundredths


def _worth(bounds: Bounds, vector: Vector) -> Worth:
    tariff, _, hundredths_per_input, hundredths_per_output, markup_bps = vector
    input_tokens, window = bounds.input_tokens, tariff.context_window_tokens
    if bounds.has_unknown_content:
        input_tokens = max(input_tokens, window)
    if bounds.is_windowed and input_tokens > window:
        input_tokens = window
    step = tariff.step_for(input_tokens)
    worth = (
        input_tokens * step.input_nano[bounds.cache] * tariff.numerator,
        step.output_nano * tariff.numerator,
        tariff.denominator,
        input_tokens * hundredths_per_input,
        hundredths_per_output,
        markup_bps,
    )
    return _new(Worth, worth)


def _with_inner(worth: Worth, numerator: int, denominator: int, hundredths: int) -> Worth:
    common = lcm(worth.denominator, denominator)
    return worth._replace(
        fixed=worth.fixed * (common // worth.denominator) + numerator * (common // denominator),
        per_output=worth.per_output * (common // worth.denominator),
        denominator=common,
        hundredths=worth.hundredths + hundredths,
    )


def _heaviest(weights: ClassWeights, cache: CacheUse) -> int:
    """The heaviest class that the input may fall into; what is cached may also be read from the cache."""
    plain, five_minutes, one_hour, read, _ = weights
    heaviest = max(plain, read)
    if cache >= CacheUse.FIVE_MINUTES:
        heaviest = max(heaviest, five_minutes)
    return max(heaviest, one_hour) if cache >= CacheUse.ONE_HOUR else heaviest


def _tools_nano(bounds: Bounds, book: PriceBook, *, model: str) -> int:
    tools = book.server_tools
    nano = bounds.searches * tools.web_search_nano + bounds.fetches * tools.web_fetch_nano
    if bounds.executions:
        if tools.code_execution_nano is None:
            raise ModelApiError(400, f"server tool: 'code_execution' is not sold for {model}")
        nano += bounds.executions * tools.code_execution_nano
    return nano
