"""Changing plans: what takes hold at once, what waits for the period's end, and what it is worth."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from billing.domain.calendar import Span
from billing.domain.offers import Purchase

When = Literal["now", "period_end"]


@dataclass(frozen=True, slots=True)
class AllowanceChange:
    """What a change at an instant does to the allowance: given for the rest of the period, and taken back of the old.

    Of the old plan's only what is still unused is taken back, so `taken` is the most.
    """

    given: int
    taken: int
    unit: str


def when_of(old: Purchase, new: Purchase) -> When | None:
    """More money at once, less at the period's end; None where a change would cut a paid period short."""
    old_terms, new_terms = old.terms, new.terms
    if old_terms.interval != new_terms.interval:
        return "now" if new_terms.interval == "year" else None
    if new.price_minor == old.price_minor:
        return "now" if new_terms.grant_nano * new.quantity >= old_terms.grant_nano * old.quantity else "period_end"
    return "now" if new.price_minor > old.price_minor else "period_end"


def allowance_change(old: Purchase, new: Purchase, *, period: Span, at: datetime) -> AllowanceChange:
    """The shares of a change within a period; a longer interval begins a whole new one."""
    rest = Span(max(at, period.starts_at), period.ends_at)
    unit = new.terms.grant_unit.value
    if old.terms.interval != new.terms.interval:
        return AllowanceChange(new.grant_amount, period.share(old.grant_amount, rest), unit)
    if old.terms.offer_id == new.terms.offer_id:
        more = max(0, new.quantity - old.quantity)
        return AllowanceChange(period.share(new.terms.grant_nano * more, rest), 0, unit)
    return AllowanceChange(period.share(new.grant_amount, rest), period.share(old.grant_amount, rest), unit)
