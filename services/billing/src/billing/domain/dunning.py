"""What an unpaid renewal means: Stripe's states, and the plan's patience with one of them."""

from datetime import datetime, timedelta

from billing.domain.paying import GraceSpec
from contracts.billing import SubscriptionStatus


def grace_until(grace: GraceSpec | None, past_due_since: datetime | None) -> datetime | None:
    """Until when the plan holds although its renewal is unpaid; None: as long as Stripe tries."""
    if grace is None or past_due_since is None:
        return None
    return past_due_since + timedelta(days=grace.days)


def told_status(
    status: SubscriptionStatus, *, grace: GraceSpec | None, past_due_since: datetime | None, now: datetime
) -> SubscriptionStatus:
    """What the other services go by: past due becomes unpaid when the plan's grace is over."""
    ends_at = grace_until(grace, past_due_since)
    if status == "past_due" and ends_at is not None and now >= ends_at:
        return "unpaid"
    return status


def may_bill_overage(status: str, grace: GraceSpec | None) -> bool:
    """Whether more may be billed later to somebody who has not paid what is due."""
    return status != "past_due" or grace is None or grace.overage
