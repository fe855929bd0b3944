"""The customer's limits, estimate and balance in the headers of an answer; the provider's own describe the operator.

Claude Code warns by `anthropic-ratelimit-unified-*` when the used share of the allowance passes 75 and 95 %. Texts are
made once per figure: an account's headers hardly differ from one call to the next.
"""

from datetime import UTC, datetime
from math import ceil
from typing import Final

from gateway.admission.types import Admitted, LimitState, Rate
from gateway.headers import Header
from gateway.surfaces.amount_text import credits_text
from gateway.surfaces.types import Kind

_MOST_REMEMBERED: Final = 20_000
_WARN_AT: Final = (0.95, 0.75)
_FIVE_HOURS_S: Final = 5 * 3600
# As Anthropic rounds what is left of a limit in tokens.
_TOKEN_STEP: Final = 1_000


class LimitHeaders:
    """One per process."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], tuple[Header, ...]] = {}

    def of(self, admitted: Admitted, *, kind: Kind, now_s: float, shows_balance: bool) -> list[Header]:
        """`now_s` is the wall clock; `shows_balance`: see `refusals.may_read_balance`."""
        headers = [(b"faregate-estimated-cost", credits_text(admitted.amounts.credit_nano).encode())]
        if shows_balance:
            headers.append((b"faregate-balance", credits_text(admitted.left.credit_nano).encode()))
        if admitted.near:
            headers.append((b"faregate-near-limit", b"true"))
        headers += self.of_limits(admitted.limits, kind=kind, now_s=now_s)
        return headers

    def of_limits(self, limits: LimitState, *, kind: Kind, now_s: float) -> list[Header]:
        headers: list[Header] = []
        if limits.requests is not None:
            headers += self._rate(limits.requests, kind, is_tokens=False, now_s=now_s)
        if limits.tokens is not None:
            headers += self._rate(limits.tokens, kind, is_tokens=True, now_s=now_s)
        if limits.utilisation is not None:
            headers += self._unified(limits.utilisation, limits.renews_at, now_s=now_s)
        return headers

    def _rate(self, rate: Rate, kind: Kind, *, is_tokens: bool, now_s: float) -> tuple[Header, ...]:
        limit, remaining, reset_ms = rate
        if is_tokens:
            remaining = remaining // _TOKEN_STEP * _TOKEN_STEP
        reset_s = None if reset_ms is None else -(-reset_ms // 1000)
        if kind == "openai":
            # A span, not an instant: it counts down.
            reset_s = None if reset_s is None else max(0, reset_s - int(now_s))
        key = (kind, is_tokens, limit, remaining, reset_s)
        return self._made.get(key) or self._remember(key, _rate_headers(*key))

    def _unified(self, utilisation: float, renews_at: datetime | None, *, now_s: float) -> tuple[Header, ...]:
        percent = int(utilisation * 100)
        reset_s = None if renews_at is None else ceil(renews_at.timestamp())
        window = "5h" if reset_s is not None and reset_s - now_s <= _FIVE_HOURS_S else "7d"
        key = (window, percent, reset_s)
        return self._made.get(key) or self._remember(key, _unified_headers(window, percent / 100, reset_s))

    def _remember(self, key: tuple[object, ...], headers: tuple[Header, ...]) -> tuple[Header, ...]:
        if len(self._made) >= _MOST_REMEMBERED:
            self._made.clear()
        self._made[key] = headers
        return headers


def _rate_headers(  # noqa: PLR0917
    kind: Kind,
    is_tokens: bool,  # noqa: FBT001  # the parts of the key
    limit: int,
    remaining: int,
    reset_s: int | None,
) -> tuple[Header, ...]:
    values = {b"limit": b"%d" % limit, b"remaining": b"%d" % max(0, remaining)}
    if kind == "openai":
        if reset_s is not None:
            values[b"reset"] = b"%ds" % reset_s
        name = b"tokens" if is_tokens else b"requests"
        return tuple((b"x-ratelimit-%b-%b" % (part, name), value) for part, value in values.items())
    if reset_s is not None:
        values[b"reset"] = datetime.fromtimestamp(reset_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    # Plans limit input alone, so the tightest limit on tokens is the one on input.
    names = (b"tokens", b"input-tokens") if is_tokens else (b"requests",)
    return tuple(
        (b"anthropic-ratelimit-%b-%b" % (name, part), value) for name in names for part, value in values.items()
    )


def _unified_headers(window: str, utilisation: float, reset_s: int | None) -> tuple[Header, ...]:
    passed = next((threshold for threshold in _WARN_AT if utilisation >= threshold), None)
    status = b"allowed" if passed is None else b"allowed_warning"
    prefix = b"anthropic-ratelimit-unified-"
    own = prefix + window.encode() + b"-"
    headers = [
        (prefix + b"status", status),
        (prefix + b"representative-claim", b"five_hour" if window == "5h" else b"seven_day"),
        (own + b"status", status),
        (own + b"utilization", b"%.2f" % utilisation),
    ]
    if passed is not None:
        headers.append((own + b"surpassed-threshold", b"%.2f" % passed))
    if reset_s is not None:
        headers += [(prefix + b"reset", b"%d" % reset_s), (own + b"reset", b"%d" % reset_s)]
    return tuple(headers)
