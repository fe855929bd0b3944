"""Where an account stands on its way to being a customer."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from ledger.domain.account import Account
from ledger.domain.grants import Grant, GrantSource

Stage = Literal["needs_plan", "trial", "trial_expired", "out_of_credit", "active", "frozen", "closed"]


def stage_of(account: Account, grants: Iterable[Grant], *, has_overage_room: bool, now: datetime) -> Stage:
    """From the account, all its grants ever, and whether calls may be billed later."""
    if account.standing != "open":
        return account.standing
    if account.plan is None or account.activated_at is None:
        return "needs_plan"
    grants = list(grants)
    usable = [grant for grant in grants if grant.remaining > 0 and grant.valid_at(now)]
    only_trial = all(grant.source is GrantSource.TRIAL for grant in grants)
    if usable:
        return "trial" if only_trial else "active"
    if has_overage_room:
        return "active"
    return "trial_expired" if grants and only_trial else "out_of_credit"
