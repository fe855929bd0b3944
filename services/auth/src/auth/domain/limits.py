"""How fast something may be tried: growing delays for failures, buckets for what is merely costly."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

FORGET_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed attempts under one key. Attempts are counted before they are judged, so that parallel ones count too."""

    attempts: int
    last_at: datetime
    blocked_until: datetime | None = None

    def wait_s(self, now: datetime) -> int:
        """Whole seconds until the next attempt is heard; 0 when it is heard now."""
        if self.blocked_until is None or self.blocked_until <= now:
            return 0
        return int((self.blocked_until - now).total_seconds()) + 1


@dataclass(frozen=True, slots=True)
class DelayPolicy:
    """So many attempts are free; each further one doubles the wait, up to a bound."""

    free: int
    most_s: float

    def after(self, failures: Failures | None, *, now: datetime) -> Failures:
        known = failures is not None and now - failures.last_at <= timedelta(seconds=FORGET_S)
        count = (failures.attempts if failures is not None and known else 0) + 1
        delay_s = 0.0 if count < self.free else min(self.most_s, 2.0 ** min(count - self.free, 30))
        return Failures(count, now, now + timedelta(seconds=delay_s) if delay_s else None)


@dataclass(frozen=True, slots=True)
class Bucket:
    """`capacity` at once, refilled evenly within `per_s`."""

    capacity: int
    per_s: float

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=self.per_s / self.capacity)

    @property
    def span(self) -> timedelta:
        return timedelta(seconds=self.per_s)


# The address alone has a low bound: others must not be able to lock somebody out.
ADDRESS_ON_NETWORK: Final = DelayPolicy(free=10, most_s=900.0)
ADDRESS: Final = DelayPolicy(free=20, most_s=30.0)
NETWORK: Final = DelayPolicy(free=200, most_s=60.0)
CODE: Final = DelayPolicy(free=5, most_s=900.0)
MAILS_TO_ADDRESS: Final = Bucket(capacity=3, per_s=3600.0)
MAILS_FROM_NETWORK: Final = Bucket(capacity=100, per_s=3600.0)
USER_CODE: Final = DelayPolicy(free=10, most_s=900.0)
DEVICES_FROM_NETWORK: Final = Bucket(capacity=300, per_s=3600.0)
LEAKS_FROM_NETWORK: Final = Bucket(capacity=2000, per_s=3600.0)
CHALLENGES_FROM_NETWORK: Final = Bucket(capacity=300, per_s=600.0)
EXCHANGES_OF_SUBJECT: Final = Bucket(capacity=60, per_s=600.0)
