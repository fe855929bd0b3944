"""Amounts and instants as clients read them."""

from datetime import UTC, datetime
from typing import Final

from contracts.money import NANO_PER_CREDIT

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def credits_text(amount_nano: int) -> str:
    """Nano-credits as a decimal string in credits."""
    whole, nano = divmod(abs(amount_nano), NANO_PER_CREDIT)
    text = ("%d.%09d" % (whole, nano)).rstrip("0") if nano else str(whole)  # noqa: UP031  # twice per call: half the cost
    return f"-{text}" if amount_nano < 0 else text


def rfc3339(at: datetime) -> str:
    """To the second, rounded up: at that time the limit is anew, not a moment before."""
    at = at.astimezone(UTC)
    seconds = int(at.timestamp()) + (1 if at.microsecond else 0)
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def spoken(at: datetime) -> str:
    """For people, and for programs that read people's messages: `1 December 2026 at 00:00 UTC (2026-12-01T…Z)`."""
    exact = rfc3339(at)
    shown = datetime.fromisoformat(exact)
    return f"{shown.day} {_MONTHS[shown.month - 1]} {shown.year} at {shown:%H:%M} UTC ({exact})"
