"""What becomes of one notice for one person: now, later, in the digest, or not at all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from notifier.domain.kinds import Kind, Priority
from notifier.domain.schedules import Schedule

MailChoice = Literal["now", "digest", "off"]
Cause = Literal["bounce", "complaint"]

USUAL: Final = Schedule()
HOUR: Final = timedelta(hours=1)
SETTLING: Final = timedelta(minutes=5)
"""A digest that comes sooner could be on its way before this notice is in it."""
DIGEST: Final = "digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a person when a notice is about to go to them; `mails` are those of the running hour."""

    choice: MailChoice = "now"
    schedule: Schedule = USUAL
    mails: int = 0
    suppressed: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`at` is when it is sent later, or when the digest that tells it comes."""

    act: Literal["send", "hold", "digest", "skip"]
    at: datetime | None = None
    reason: str | None = None


SEND: Final = Decision(act="send")


def decide(kind: Kind, standing: Standing, *, now: datetime, most_per_hour: int) -> Decision:
    """Urgent and required notices are never switched off or collected; urgent ones wait for no morning."""
    if standing.suppressed == "bounce" or (standing.suppressed and kind.optional):
        return Decision(act="skip", reason=f"the address takes no mail since a {standing.suppressed}")
    if kind.optional and standing.choice == "off":
        return Decision(act="skip", reason="switched off by its recipient")
    if kind.optional and standing.choice == "digest":
        return Decision(act="digest", at=standing.schedule.next_digest(now + SETTLING))
    if kind.priority == Priority.URGENT or kind.name == DIGEST:
        return SEND
    return _by_night_and_number(kind, standing, now=now, most_per_hour=most_per_hour)


def _by_night_and_number(kind: Kind, standing: Standing, *, now: datetime, most_per_hour: int) -> Decision:
    schedule = standing.schedule
    if schedule.is_quiet(now):
        return Decision(act="hold", at=schedule.quiet_end(now))
    if kind.optional and standing.mails >= most_per_hour:
        return Decision(act="digest", at=schedule.quiet_end(hour_of(now + SETTLING) + HOUR))
    return SEND


def hour_of(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """A notice that one person gets later: alone, or in the digest of that instant."""

    user_id: UUID
    at: datetime
    is_digest: bool
