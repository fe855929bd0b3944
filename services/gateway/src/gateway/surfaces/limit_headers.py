"""The customer's limits, estimate and balance in the headers of an answer; the provider's own describe the operator.

Claude Code warns by `anthropic-ratelimit-unified-*` when the used share of the allowance passes 75 and 95 %. What
hardly differs from one call of an account to the next is made once.
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
_REMAINING: Final = b"{remaining}"


class LimitHeaders:
    """One per process."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], bytes] = {}

    def of(self, admitted: Admitted, *, kind: Kind, now_s: float, shows_balance: bool) -> list[Header]:
        return _split(self.lines(admitted, kind=kind, now_s=now_s, shows_balance=shows_balance))

    def of_limits(self, limits: LimitState, *, kind: Kind, now_s: float) -> list[Header]:
        return _split(self._lines_of(limits, kind, now_s=now_s))

    def lines(self, admitted: Admitted, *, kind: Kind, now_s: float, shows_balance: bool) -> bytes:
        """As they stand in an answer. `now_s` is the wall clock; `shows_balance`: see `refusals.may_read_balance`."""
        lines = b"faregate-estimated-cost: %b\r\n" % credits_text(admitted.amounts.credit_nano).encode()
        if shows_balance:
            lines += b"faregate-balance: %b\r\n" % credits_text(admitted.left.credit_nano).encode()
        if admitted.near:
            lines += b"faregate-near-limit: true\r\n"
        return lines + self._lines_of(admitted.limits, kind, now_s=now_s)

    def _lines_of(self, limits: LimitState, kind: Kind, *, now_s: float) -> bytes:
        lines = b""
        if limits.requests is not None:
            lines = self._rate(limits.requests, kind, is_tokens=False, now_s=now_s)
        if limits.tokens is not None:
            lines += self._rate(limits.tokens, kind, is_tokens=True, now_s=now_s)
        if limits.utilisation is not None:
            lines += self._unified(limits.utilisation, limits.renews_at, now_s=now_s)
        return lines

    def _rate(self, rate: Rate, kind: Kind, *, is_tokens: bool, now_s: float) -> bytes:
        limit, remaining, reset_ms = rate
        if is_tokens:
            remaining = remaining // _TOKEN_STEP * _TOKEN_STEP
        reset_s = None if reset_ms is None else -(-reset_ms // 1000)
        if kind == "openai":
            # A span, not an instant: it counts down.
            reset_s = None if reset_s is None else max(0, reset_s - int(now_s))
        key = (kind, is_tokens, limit, reset_s)
        made = self._made.get(key) or self._remember(key, _rate_lines(*key))
        # What is left is another figure in each answer: the rest stands for a second.
        return made.replace(_REMAINING, b"%d" % max(0, remaining))

    def _unified(self, utilisation: float, renews_at: datetime | None, *, now_s: float) -> bytes:
        percent = int(utilisation * 100)
        reset_s = None if renews_at is None else ceil(renews_at.timestamp())
        window = "5h" if reset_s is not None and reset_s - now_s <= _FIVE_HOURS_S else "7d"
        key = (window, percent, reset_s)
        return self._made.get(key) or self._remember(key, _unified_lines(window, percent / 100, reset_s))

    def _remember(self, key: tuple[object, ...], lines: bytes) -> bytes:
        if len(self._made) >= _MOST_REMEMBERED:
            self._made.clear()
        self._made[key] = lines
        return lines


def _rate_lines(
    kind: Kind,
    is_tokens: bool,  # noqa: FBT001  # the parts of the key
    limit: int,
    reset_s: int | None,
) -> bytes:
    """With `_REMAINING` where the figure belongs that is left."""
    values = {b"limit": b"%d" % limit, b"remaining": _REMAINING}
    if kind == "openai":
        if reset_s is not None:
            values[b"reset"] = b"%ds" % reset_s
        name = b"tokens" if is_tokens else b"requests"
        return _joined([(b"x-ratelimit-%b-%b" % (part, name), value) for part, value in values.items()])
    if reset_s is not None:
        values[b"reset"] = datetime.fromtimestamp(reset_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    # Plans limit input alone, so the tightest limit on tokens is the one on input.
    names = (b"tokens", b"input-tokens") if is_tokens else (b"requests",)
    return _joined(
        [(b"anthropic-ratelimit-%b-%b" % (name, part), value) for name in names for part, value in values.items()]
    )


def _unified_lines(window: str, utilisation: float, reset_s: int | None) -> bytes:
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
    return _joined(headers)


def _joined(headers: list[Header]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def _split(lines: bytes) -> list[Header]:
    pairs = [line.partition(b": ") for line in lines.split(b"\r\n")[:-1]]
    return [(name, value) for name, _, value in pairs]
