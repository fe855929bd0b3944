"""What will have been used, from what was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.billing import PlanPublished
from contracts.money import Unit
from kit.clock import Clock
from ledger.domain.forecast import SAMPLE_DAYS, Band, Pool, RunOut, daily_band, run_out, uncovered_until
from ledger.domain.grants import Grant, burn_order
from ledger.domain.usage import DaySpend
from ledger.errors import UnknownAccountError
from ledger.repository.accounts import find_account
from ledger.repository.grants import list_grants
from ledger.repository.usage import list_days
from ledger.service.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Forecast:
    """`spend` is per day; None where no whole day is known. `overage` is None where the plan bills none."""

    as_of: datetime
    basis_days: int
    spend: Band | None
    runs_out: RunOut | None
    period_ends_at: datetime | None
    overage: Band | None


@dataclass(frozen=True, slots=True)
class Forecasting:
    """Run-out dates and overage."""

    catalogue: Catalogue
    clock: Clock

    async def forecast(self, session: AsyncSession, account_id: UUID) -> Forecast:
        """From the whole UTC days before today."""
        now = self.clock.now()
        account = await find_account(session, account_id)
        if account is None:
            raise UnknownAccountError("There is no such account.")
        days = await list_days(session, account_id, first=now.date() - timedelta(days=SAMPLE_DAYS), last=now.date())
        spend = daily_band(_values(days, today=now.date()))
        if spend is None:
            return Forecast(now, 0, None, None, account.period_end, None)
        grants = (await list_grants(session, [account_id], alive_at=now))[account_id]
        pools = _pools(sorted(grants, key=burn_order), days)
        plan = await self.catalogue.plan(session, *account.plan) if account.plan else None
        overage = None
        if plan is not None and plan.terms.overage.policy == "bill" and account.period_end is not None:
            missing = uncovered_until(spend, pools, now=now, until=account.period_end)
            overage = Band(*(account.period_overage_nano + _billed(part, plan, days) for part in missing))
        runs_out = run_out(spend, pools, owed_nano=account.debt_nano, now=now)
        basis = (now.date() - days[0].day).days if days else 0
        return Forecast(now, basis, spend, runs_out, account.period_end, overage)


def _values(days: Sequence[DaySpend], *, today: date) -> list[int]:
    """Every day from the first with usage on, quiet ones as zero."""
    if not days:
        return []
    known = {day.day: day.value_nano for day in days}
    first = days[0].day
    return [known.get(first + timedelta(days=number), 0) for number in range((today - first).days)]


def _pools(grants: Sequence[Grant], days: Sequence[DaySpend]) -> list[Pool]:
    """Plan tokens are worth what they have paid for so far; units that have paid for nothing yet are left out."""
    tokens = sum(day.plan_tokens for day in days)
    paid_nano = sum(day.value_nano - day.price_nano for day in days)
    pools = []
    for grant in grants:
        if grant.unit is Unit.CREDIT:
            pools.append(Pool(grant.remaining, grant.starts_at, grant.expires_at))
        elif grant.unit is Unit.TOKEN and tokens:
            pools.append(Pool(grant.remaining * max(0, paid_nano) // tokens, grant.starts_at, grant.expires_at))
    return pools


def _billed(missing_nano: int, plan: PlanPublished, days: Sequence[DaySpend]) -> int:
    """What is not covered at the plan's overage rate; by the price book where it names none."""
    rate = plan.terms.overage.nano_per_1k_tokens
    tokens = sum(day.plan_tokens for day in days)
    paid_nano = sum(day.value_nano - day.price_nano for day in days)
    if rate is None or not tokens or paid_nano <= 0:
        return missing_nano
    return missing_nano * tokens * rate // (paid_nano * 1_000)
