"""What of a subscription is news, and when its end is called to mind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from contracts.billing import SubscriptionChanged

UNFINISHED: Final = frozenset({"incomplete", "incomplete_expired"})
"""Nothing was agreed: the customer left the checkout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminding:
    """By which notice, and how long before, the end of a state is called to mind."""

    kind: str
    lead: timedelta


REMINDERS: Final[Mapping[str, Reminding]] = MappingProxyType(
    {
        "trialing": Reminding(kind="trial-ending", lead=timedelta(days=3)),
        "past_due": Reminding(kind="grace-ending", lead=timedelta(days=1)),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSubscription:
    """What was last known of a subscription; `ends_at` is when a trial, or the patience with a debtor, is over."""

    version: int
    plan_id: str
    status: str
    cancel_at_period_end: bool
    pending_plan_id: str | None
    ends_at: datetime | None
    remind_at: datetime | None

    @classmethod
    def of(cls, event: SubscriptionChanged, known: "KnownSubscription | None") -> "KnownSubscription":
        """What is known from now on, and when to remind."""
        ends_at = _ends_at(event)
        return cls(
            version=event.version,
            plan_id=event.plan_id,
            status=event.status,
            cancel_at_period_end=event.cancel_at_period_end,
            pending_plan_id=event.pending_plan_id,
            ends_at=ends_at,
            remind_at=_remind_at(event, ends_at, known),
        )

    def is_news_after(self, known: "KnownSubscription | None") -> bool:
        """A new period alone is no news: its payment is mailed anyway."""
        return self.status not in UNFINISHED and (known is None or self.terms != known.terms)

    @property
    def terms(self) -> tuple[object, ...]:
        """What a customer is told of when it changes."""
        return self.plan_id, self.status, self.cancel_at_period_end, self.pending_plan_id


@dataclass(frozen=True, slots=True, kw_only=True)
class DueReminder:
    """A subscription whose customer is to be reminded now."""

    subscription_id: str
    account_id: UUID
    plan_id: str
    status: str
    ends_at: datetime


def _ends_at(event: SubscriptionChanged) -> datetime | None:
    if event.status == "trialing":
        return None if event.cancel_at_period_end else event.trial_end
    return event.grace_until if event.status == "past_due" else None


def _remind_at(
    event: SubscriptionChanged, ends_at: datetime | None, known: KnownSubscription | None
) -> datetime | None:
    """None where the change itself was told so late that it said enough."""
    if ends_at is None:
        return None
    if known is not None and known.ends_at == ends_at:
        return known.remind_at
    due = ends_at - REMINDERS[event.status].lead
    return due if due > event.time else None
