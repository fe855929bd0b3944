"""The equation of money.md 31: journalled admissions = distinct usage ids = charges, set aside and parked."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.ledger import ReconciliationDiffered
from kit.ids import fact_id

NAMED: Final = 100
"""How many ids an event names; the table and the command name all."""


@dataclass(frozen=True, slots=True)
class Window:
    """`[start, end)`, whole minutes."""

    start: datetime
    end: datetime

    @property
    def minutes(self) -> int:
        return int((self.end - self.start).total_seconds() // 60)


@dataclass(frozen=True, slots=True)
class Counted:
    """What an instance said of a window: how many calls, in how many minutes, and since when it says anything."""

    admitted: int
    minutes: int
    first_minute: datetime
    last_minute: datetime


@dataclass(slots=True, kw_only=True)
class Reconciliation:
    """One gateway instance in one window.

    `journalled` is None while the journals were not asked, because the figures agree, or did not answer.
    """

    gateway_instance: str
    window: Window
    admitted: int
    silent_minutes: int
    booked: int
    parked: int = 0
    set_aside: int = 0
    journalled: int | None = None
    missing: tuple[UUID, ...] = ()
    unexpected: tuple[UUID, ...] = ()
    unreachable: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """The journal is the witness; the published count stands in for it where it was not asked."""
        if self.missing or self.unexpected:
            return False
        return self.accounted == (self.admitted if self.journalled is None else self.journalled)

    @property
    def accounted(self) -> int:
        return self.booked + self.parked + self.set_aside

    def compare(self, journalled: Collection[UUID], accounted: Collection[UUID]) -> None:
        """Name what the journals hold and nobody accounts for, and the other way round."""
        known, found = set(journalled), set(accounted)
        self.journalled = len(known)
        self.missing = tuple(sorted(known - found, key=_number))
        self.unexpected = tuple(sorted(found - known, key=_number))

    @property
    def looks_right(self) -> bool:
        """Whether the published figures alone say that nothing is missing."""
        return self.accounted == self.admitted and not self.silent_minutes

    def event(self, *, now: datetime) -> ReconciliationDiffered:
        """Once per window and difference: its id is made from the figures."""
        figures = (self.admitted, self.booked, self.parked, self.set_aside, self.silent_minutes, *self.missing)
        return ReconciliationDiffered(
            id=fact_id("reconciliation", self.gateway_instance, self.window.start, self.window.end, *figures),
            time=now,
            gateway_instance=self.gateway_instance,
            window_start=self.window.start,
            window_end=self.window.end,
            admitted=self.admitted,
            booked=self.booked,
            parked=self.parked,
            set_aside=self.set_aside,
            missing=self.missing[:NAMED],
        )


def silent_minutes(window: Window, counted: Counted | None) -> int:
    """Minutes of the window of which the instance said nothing, since it first said something.

    An instance counts on at its next start where it left off, so a gap is a gateway that is down, cut off, or lost.
    """
    if counted is None:
        return window.minutes
    since = max(window.start, counted.first_minute)
    expected = int((window.end - since).total_seconds() // 60)
    return max(0, expected - counted.minutes)


def _number(call_id: UUID) -> int:
    return call_id.int
