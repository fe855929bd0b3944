"""Overage as Stripe's meter counts it: whole millionths of a dollar, each with the hour in which it was used."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple
from uuid import UUID

from billing.domain.offers import Terms

METER: Final = "faregate_overage"
"""One meter for all plans: it counts money, so a change of plan or price in a period changes no price in Stripe."""
UNIT_NANO: Final = 1_000
UNITS_PER_MINOR: Final = 10_000
UNIT_PRICE_MINOR: Final = "0.0001"
HOUR: Final = timedelta(hours=1)
OLDEST: Final = timedelta(days=35) - HOUR
KNOWN_FOR: Final = timedelta(hours=23)
"""Stripe forgets identifiers after a day at the earliest; an outcome unknown for longer is looked up, not repeated."""
DRAFT: Final = timedelta(minutes=45)
"""How long after its end a period's invoice surely takes more use: Stripe finalises it after an hour."""
OFFSET_FOR: Final = timedelta(hours=24)
"""How long a reduction waits for use that offsets it before it is given back."""
STRANDED_AFTER: Final = timedelta(hours=24)
"""How long use may wait for a subscription that bills it before the operator is told."""
NO_SUBSCRIPTION: Final = "no subscription bills the meter"
SUMMED: Final = timedelta(hours=1)
"""How long after a try Stripe's count surely shows what it was told."""

State = Literal["pending", "sent", "accepted", "rejected", "expired"]


class Units(NamedTuple):
    """Whole units to report, and what is carried on."""

    units: int
    carry_nano: int


def units_of(amount_nano: int, *, carry_nano: int) -> Units:
    """All amounts are the units reported so far and one carry; a reduction is offset by what comes next."""
    whole = amount_nano + carry_nano
    units = max(0, whole) // UNIT_NANO
    return Units(units, whole - units * UNIT_NANO)


def minor_of(units: int) -> int:
    """What Stripe asks for so many units of a line: the half is rounded up, once."""
    return (units + UNITS_PER_MINOR // 2) // UNITS_PER_MINOR


def metered_key(currency: str, interval: str) -> str:
    """What Stripe's price for a unit of the meter is found by."""
    return f"{METER}_{currency}_{interval}"


def metered_prices(offers: Iterable[Terms]) -> list[tuple[str, str]]:
    """The currencies and intervals in which plans are sold whose overage the meter collects."""
    plans = [terms for terms in offers if terms.is_plan and terms.interval != "none" and is_metered(terms)]
    return sorted({(currency, terms.interval) for terms in plans for currency in terms.prices})


def is_metered(terms: Terms) -> bool:
    overage = terms.plan.terms.overage
    return terms.price_minor > 0 and overage.policy == "bill" and overage.collect == "meter"


def identifier_of(account_id: UUID, hour: datetime, sequence: int) -> str:
    return f"ovg:{account_id.hex}:{METER}:{hour:%Y%m%d%H}:{sequence}"


@dataclass(frozen=True, slots=True)
class Reach:
    """What a meter event may be dated: from when the item counts, and since when the present period runs."""

    since: datetime
    period_start: datetime


def dated(hour: datetime, reach: Reach, *, now: datetime) -> datetime:
    """The hour's last second; now, where Stripe or a finalised invoice would no longer take that."""
    stamp = min(now, max(hour + HOUR - timedelta(seconds=1), reach.since))
    return now if is_closed(stamp, reach, now=now) or stamp < now - OLDEST else stamp


def is_closed(stamp: datetime, reach: Reach, *, now: datetime) -> bool:
    """Whether the invoice of an instant may be final, so that what is told with this date would never be billed."""
    return stamp < reach.period_start and now >= reach.period_start + DRAFT


@dataclass(frozen=True, slots=True)
class Owed:
    """A row that is to be sent, or whose outcome is to be found out."""

    account_id: UUID
    hour: datetime
    sequence: int
    units: int
    identifier: str
    state: State
    dated_at: datetime | None
    first_sent_at: datetime | None
    attempts: int

    def is_past_asking(self, now: datetime) -> bool:
        """Whether Stripe may have forgotten the identifier, so that sending again could count twice."""
        return self.first_sent_at is not None and now - self.first_sent_at >= KNOWN_FOR


@dataclass(frozen=True, slots=True)
class Report:
    """How a try to report ended: `unknown` may have counted, `too_old` did not and may be dated now."""

    outcome: Literal["accepted", "unknown", "not_sent", "too_old", "rejected"]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class UseLine:
    """A line of an invoice for what the meter counted in a period."""

    invoice_id: str
    subscription_id: str | None
    status: str
    units: int
    amount_minor: int
    period_start: datetime
    period_end: datetime


def wait_s(attempts: int) -> float:
    """Seconds until the next try: doubled each time, at most five minutes."""
    return min(300.0, 2.0 ** min(attempts, 9) / 2)
