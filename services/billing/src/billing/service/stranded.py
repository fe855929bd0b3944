"""Overage that no living subscription will bill: the operator hears of it after a day, once for each row."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing import metrics
from billing.domain.overage import HOUR, NO_SUBSCRIPTION, STRANDED_AFTER, UNIT_NANO
from billing.repository import overage_credits as repository
from contracts.billing import OverageStranded
from kit import logging, outbox
from kit.ids import fact_id

log = logging.get(__name__)

BATCH: Final = 100


async def watch(session: AsyncSession, *, now: datetime) -> int:
    """Count the accounts whose use nobody bills, and tell of those that nobody was told of; how many there are."""
    before = now - STRANDED_AFTER - HOUR
    found = await repository.list_stranded(session, reason=NO_SUBSCRIPTION, before=before)
    metrics.OVERAGE_STRANDED.set(len(found))
    for account_id, units, since in found[:BATCH]:
        fresh = await repository.mark_told(session, account_id, reason=NO_SUBSCRIPTION, before=before, now=now)
        if fresh:
            await _tell(session, account_id, units=units, since=since, now=now)
    return len(found)


async def _tell(session: AsyncSession, account_id: UUID, *, units: int, since: datetime, now: datetime) -> None:
    log.error("billing.overage_stranded", account_id=str(account_id), units=units, since=since.isoformat())
    await outbox.add(
        session,
        OverageStranded(
            id=fact_id(OverageStranded.type, account_id, now.isoformat()),
            time=now,
            account_id=account_id,
            amount_nano=units * UNIT_NANO,
            since=since,
        ),
    )
