"""What time does to an account's page: periods end, what is left moves on or expires, the next period's grant is made.

All of it is decided by instants, so that it does not matter when, or how often, it is looked at.
"""

from collections.abc import Collection
from datetime import datetime

from contracts.billing import PlanPublished
from contracts.money import Unit
from ledger.domain import thresholds
from ledger.domain.grants import Grant, GrantSource
from ledger.domain.page import ClosedPeriod, Page
from ledger.domain.periods import Period, boundary, period, period_at, prorated
from ledger.domain.plans import (
    has_periods,
    interval_of,
    is_of_plan,
    period_allowances,
    period_grant,
    rolled_most,
    subscription_rule,
)
from ledger.domain.transfers import BREAKAGE, PLANS, STRIPE_CLEARING, TransferKind

Known = Collection[tuple[str, str]]
"""Rules and periods of which the account has a grant already."""


def settle(page: Page, plan: PlanPublished | None) -> None:
    """Do what was due by now: close periods one by one, then let expire what is over."""
    account = page.account
    while account.period_end is not None and account.period_end <= page.now:
        if plan is None:
            account.period_start = account.period_end = None
            break
        _next_period(page, plan)
    _expire(page)


def due_at(page: Page) -> datetime | None:
    """When time alone changes the page next."""
    due = page.account.period_end
    for grant in page.grants:
        if grant.remaining and grant.expires_at is not None and (due is None or grant.expires_at < due):
            due = grant.expires_at
    return due


def enter_plan(page: Page, plan: PlanPublished, *, known: Known = ()) -> None:
    """Come to a plan whose periods the ledger keeps: the rest of the running one and all of the next.

    The anchor is the account's activation, so that leaving and coming back moves no boundary and gives nothing twice.
    """
    account, now = page.account, page.now
    close_period(page, at=now)
    account.plan_id, account.plan_version, page.plan = plan.plan_id, plan.version, plan
    account.period_start = account.period_end = None
    if not has_periods(plan) or account.activated_at is None:
        return
    running = period_at(account.activated_at, now, interval=interval_of(plan))
    _begin(page, starts_at=max(running.starts_at, now), ends_at=running.ends_at)
    coming = period(account.activated_at, running.index + 1, interval=interval_of(plan))
    _give(page, plan, running, starts_at=max(running.starts_at, now), known=known)
    _give(page, plan, coming, starts_at=coming.starts_at, known=known)
    _arm_units(page, plan)


def leave_plan(page: Page, plan: PlanPublished) -> None:
    """Take back what the ledger gave ahead and has not started; what runs stays to its own end."""
    for grant in page.grants:
        if is_of_plan(grant, plan.plan_id) and grant.starts_at > page.now and not grant.is_withdrawn:
            if grant.remaining:
                page.withdraw(grant, grant.remaining, target=PLANS, kind=TransferKind.PLAN_CHANGE)
            grant.is_withdrawn = True
            page.moved[grant.id] = grant


def replace_paid_plan(page: Page, old: PlanPublished) -> None:
    """A subscription changed its plan within a period: the money for the old one's unused time went back.

    So does that time's share of what it granted, as far as it is not used.
    """
    for grant in page.grants:
        if grant.rule == subscription_rule(old.plan_id) and grant.valid_at(page.now) and grant.expires_at is not None:
            whole = Period(0, grant.starts_at, grant.expires_at)
            unused = min(grant.remaining, prorated(grant.amount, whole=whole, starts_at=page.now))
            if unused:
                page.withdraw(grant, unused, target=STRIPE_CLEARING, kind=TransferKind.PLAN_CHANGE)


def follow_subscription(page: Page, plan: PlanPublished, *, starts_at: datetime, ends_at: datetime) -> None:
    """Take a subscription's real boundaries; a period that they cut short is closed where the new one starts."""
    account = page.account
    if account.plan == (plan.plan_id, plan.version):
        if account.period_end == ends_at:
            return
        if account.period_start == starts_at:
            account.period_end = ends_at
            return
        at = max(starts_at, account.period_start or starts_at)
    else:
        # The old plan's part of the period ends where it was left.
        at = starts_at = max(starts_at, page.now) if starts_at <= page.now < ends_at else starts_at
    close_period(page, at=at)
    account.plan_id, account.plan_version, page.plan = plan.plan_id, plan.version, plan
    _begin(page, starts_at=starts_at, ends_at=ends_at)


def close_period(page: Page, *, at: datetime) -> None:
    """State what the running period gave and took; nothing where none runs."""
    account = page.account
    if account.period_start is None or account.period_end is None or account.plan is None:
        return
    end = min(at, account.period_end)
    if end <= account.period_start:
        return
    of_period = [
        grant
        for grant in page.grants
        if _belongs(grant, account.plan[0], start=account.period_start, end=account.period_end)
    ]
    units = sorted({grant.unit for grant in of_period}) or [Unit.CREDIT]
    for number, unit in enumerate(units):
        grants = [grant for grant in of_period if grant.unit is unit]
        page.closed.append(
            ClosedPeriod(
                *account.plan,
                account.period_start,
                end,
                unit,
                granted=sum(grant.amount for grant in grants),
                used=sum(grant.burnt for grant in grants),
                rolled_over=sum(grant.rolled for grant in grants),
                expired=sum(grant.expired for grant in grants),
                # Calls and overage belong to the period, not to a unit: they are told once.
                overage_nano=0 if number else account.period_overage_nano,
                calls=0 if number else account.period_calls,
            )
        )


def _next_period(page: Page, plan: PlanPublished) -> None:
    account = page.account
    start, end = account.period_start, account.period_end
    assert start is not None
    assert end is not None
    upcoming = _following(page, plan, start=start, end=end)
    _carry_on(page, plan, end=end, upcoming=upcoming)
    _expire(page, until=end)
    close_period(page, at=end)
    _begin(page, starts_at=upcoming.starts_at, ends_at=upcoming.ends_at)
    if plan.renewal == "ledger" and account.activated_at is not None:
        _give(page, plan, upcoming, starts_at=upcoming.starts_at, known=_standing(page))
        ahead = period(account.activated_at, upcoming.index + 1, interval=interval_of(plan))
        _give(page, plan, ahead, starts_at=ahead.starts_at, known=_standing(page))
    for grant in page.grants:
        if grant.starts_at == upcoming.starts_at and grant.remaining:
            page.repay_debt(grant, reference=grant.rule)
    _arm_units(page, plan)


def _following(page: Page, plan: PlanPublished, *, start: datetime, end: datetime) -> Period:
    """The period after: by the account's anchor, or by the subscription's own until billing tells its real end."""
    account = page.account
    if account.subscription_id is None and account.activated_at is not None:
        return period_at(account.activated_at, end, interval=interval_of(plan))
    interval = interval_of(plan)
    # A whole one goes on from its start, which may be a 31st; one that was cut short tells its day by its end.
    if boundary(start, 1, interval=interval) == end:
        return Period(0, end, boundary(start, 2, interval=interval))
    return Period(0, end, boundary(end, 1, interval=interval))


def _begin(page: Page, *, starts_at: datetime, ends_at: datetime) -> None:
    account = page.account
    account.period_start, account.period_end = starts_at, ends_at
    account.period_calls = account.period_tokens = account.period_value_nano = account.period_overage_nano = 0
    account.crossed = [key for key in account.crossed if not key.startswith(thresholds.PERIODIC)]


def _give(page: Page, plan: PlanPublished, whole: Period, *, starts_at: datetime, known: Known) -> None:
    for allowance in period_allowances(plan):
        grant = period_grant(
            plan, allowance, account_id=page.account.id, period=whole, starts_at=starts_at, now=page.now
        )
        if grant is not None and (grant.rule, grant.period) not in known:
            page.open_grant(grant, source=PLANS, kind=TransferKind.TOPUP, reference=grant.rule, arms=False)


def _standing(page: Page) -> Known:
    return {(grant.rule, grant.period) for grant in page.grants if not grant.is_withdrawn}


def _arm_units(page: Page, plan: PlanPublished) -> None:
    """A new period arms the units that the plan gives."""
    for unit in {allowance.unit for allowance in period_allowances(plan)}:
        page.arm(unit, page.now)


def _carry_on(page: Page, plan: PlanPublished, *, end: datetime, upcoming: Period) -> None:
    """Move what the period left into the next one, as far as the plan's roll-over lets it; newest grants first."""
    rules: dict[str, list[Grant]] = {}
    for grant in page.grants:
        if grant.source is GrantSource.PLAN and grant.expires_at == end and grant.remaining:
            rules.setdefault(grant.base_rule, []).append(grant)
    for grants in rules.values():
        grants.sort(key=lambda grant: grant.rule)
        carried = rolled_most(plan, grants[0], sum(grant.remaining for grant in grants))
        if carried:
            _roll(page, grants, carried, upcoming=upcoming)


def _roll(page: Page, grants: list[Grant], carried: int, *, upcoming: Period) -> None:
    heir = Grant.carried_on(grants[0], amount=carried, ends_at=upcoming.ends_at, now=page.now)
    heir.remaining = 0
    page.new_grants.append(heir)
    page.add([heir])
    for grant in grants:
        amount = min(carried, grant.remaining)
        if not amount:
            break
        carried -= amount
        grant.remaining -= amount
        grant.rolled += amount
        grant.heir = heir
        page.moved[grant.id] = grant
        kind, at = TransferKind.ROLL_OVER, grant.expires_at
        page.deposit(heir, amount, source=grant.ledger_account, kind=kind, reference=heir.rule, effective_at=at)


def _expire(page: Page, *, until: datetime | None = None) -> None:
    """Book what time has taken, as of when it did."""
    until = until or page.now
    for grant in page.grants:
        if grant.remaining and grant.expires_at is not None and grant.expires_at <= until:
            amount, at = grant.remaining, grant.expires_at
            grant.expired += amount
            page.withdraw(grant, amount, target=BREAKAGE, kind=TransferKind.EXPIRY, effective_at=at)


def _belongs(grant: Grant, plan_id: str, *, start: datetime, end: datetime) -> bool:
    return (
        (is_of_plan(grant, plan_id) or grant.base_rule == subscription_rule(plan_id))
        and not grant.is_withdrawn
        and grant.starts_at < end
        and grant.expires_at is not None
        and start < grant.expires_at <= end
    )
