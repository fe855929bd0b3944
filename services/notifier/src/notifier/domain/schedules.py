"""A person's nights and digests, by the clocks on their wall: days of 23 and 25 hours are days like any other."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Schedule:
    """Quiet from one time of day until another, past midnight if need be; and when the digest comes."""

    time_zone: str = "UTC"
    quiet_from: time | None = None
    quiet_until: time | None = None
    digest_at: time = time(8)

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def is_quiet(self, instant: datetime) -> bool:
        """Whether the clock on the wall stands between the two times."""
        if self.quiet_from is None or self.quiet_until is None:
            return False
        wall = instant.astimezone(self.zone).time()
        if self.quiet_from < self.quiet_until:
            return self.quiet_from <= wall < self.quiet_until
        return wall >= self.quiet_from or wall < self.quiet_until

    def quiet_end(self, instant: datetime) -> datetime:
        """When the quiet time that `instant` lies in ends; `instant` itself when it lies in none."""
        if not self.is_quiet(instant):
            return instant
        assert self.quiet_until is not None
        ends = self._instants(instant, self.quiet_until)
        return next(end for end in ends if end > instant and not self.is_quiet(end))

    def next_digest(self, instant: datetime) -> datetime:
        """The next time after `instant` at which the digest comes; never within quiet hours."""
        due = next(at for at in self._instants(instant, self.digest_at) if at > instant)
        return self.quiet_end(due)

    def _instants(self, around: datetime, at: time) -> list[datetime]:
        """When the wall clock shows this time on the days round an instant, in order."""
        today = around.astimezone(self.zone).date()
        days = [today + number * _DAY for number in range(-1, 4)]
        return sorted({instant for day in days for instant in _wall_instants(day, at, self.zone)})


def _wall_instants(day: date, at: time, zone: ZoneInfo) -> set[datetime]:
    """When it is this time on this day: once, twice when clocks go back, and where they jump over it, the jump."""
    naive = datetime.combine(day, at)
    found = {naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    if all(instant.astimezone(zone).replace(tzinfo=None) == naive for instant in found):
        return found
    return {_jump(min(found), max(found), zone)}


def _jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant between two at which the zone's offset changes, to the second."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def is_time_zone(name: str) -> bool:
    """Whether it is a zone of the time zone database; never a path into it."""
    return name in available_timezones()
