"""Margins below the operator's floor are told once per day and subject."""

from datetime import date, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ledger import MarginFell
from kit import logging, outbox
from kit.clock import Clock
from kit.ids import fact_id
from ledger.domain.margins import Margin
from ledger.repository.reports import Scope, claim_day
from ledger.service.reporting import MarginQuery, Reporting, midnight

log = logging.get(__name__)

SCOPES: Final[tuple[Scope, ...]] = ("plan", "model", "account")
SETTLED_AFTER: Final = timedelta(hours=1)
"""A day is looked at when the calls that ran over midnight are in."""
_PAGE: Final = 1_000


async def watch_margins(session: AsyncSession, clock: Clock, *, floor_bps: int) -> int:
    """Compare the last whole day with the floor, once; how many subjects fell below it."""
    now = clock.now()
    day = (now - SETTLED_AFTER).date() - timedelta(days=1)
    if not await claim_day(session, day, now=now):
        return 0
    reporting, fell = Reporting(clock), 0
    for scope in SCOPES:
        after: str | None = None
        while True:
            query = MarginQuery(scope=scope, first=day, last=day + timedelta(days=1), after=after, limit=_PAGE)
            page = await reporting.margins(session, query)
            for margin in page:
                if margin.is_below(floor_bps):
                    await outbox.add(session, _event(margin, scope, day=day, floor_bps=floor_bps, clock=clock))
                    fell += 1
            if len(page) < _PAGE:
                break
            after = page[-1].subject
    if fell:
        log.warning("ledger.margin_fell", day=day.isoformat(), subjects=fell)
    return fell


def _event(margin: Margin, scope: Scope, *, day: date, floor_bps: int, clock: Clock) -> MarginFell:
    return MarginFell(
        id=fact_id("margin", scope, margin.subject, day),
        time=clock.now(),
        subject=margin.subject,
        scope=scope,
        window_start=midnight(day),
        window_end=midnight(day + timedelta(days=1)),
        revenue_nano=margin.revenue_nano,
        cost_nano=margin.cost_nano + margin.fee_nano,
        margin_bps=margin.margin_bps if margin.margin_bps is not None else -10_000,
        floor_bps=floor_bps,
    )
