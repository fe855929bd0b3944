"""Time, injected; nothing else in Faregate asks the system for it."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import Struct
from typing import Final, Protocol

_OFFSET: Final = Struct("<d")


class Clock(Protocol):
    """Where instants and durations come from."""

    def now(self) -> datetime:
        """The current instant, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards, for durations."""
        ...


class MovedClock(Clock, Protocol):
    """A clock that says how far it is ahead of the machine's, for what must add that to another server's time."""

    @property
    def offset_s(self) -> float:
        """Zero wherever no sandbox moves time."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clock, moved by an offset that only the sandbox may set."""

    offset_s: float = 0.0

    def now(self) -> datetime:
        now = datetime.now(UTC)
        return now + timedelta(seconds=self.offset_s) if self.offset_s else now

    def monotonic(self) -> float:
        return time.monotonic()


class SandboxClock:
    """The machine's clock, as far ahead of it as a file says that all processes of a sandbox look at.

    When it is moved, durations have passed as well: what was cached for minutes is old after a month.
    """

    __slots__ = ("_file",)

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            # Mapped, so that a move is seen by every process in the same instant and no look costs a system call.
            self._file = mmap(file.fileno(), _OFFSET.size, access=ACCESS_READ)

    @property
    def offset_s(self) -> float:
        offset_s: float = _OFFSET.unpack_from(self._file)[0]
        return offset_s

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.offset_s)

    def monotonic(self) -> float:
        return time.monotonic() + self.offset_s


def move_clock(path: Path, *, offset_s: float) -> None:
    """Set the file that sandbox clocks look at; it is made when it is not there."""
    path.touch()
    with path.open("r+b") as file:
        file.write(_OFFSET.pack(offset_s))


@dataclass(slots=True)
class ManualClock:
    """A clock that moves when told to, for tests."""

    instant: datetime = field(default_factory=lambda: datetime(2026, 11, 21, 12, 0, tzinfo=UTC))

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()

    def advance(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)
