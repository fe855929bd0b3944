"""What the ledger says was used past the plan, kept as rows that the meter is told one by one (money.md 32)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing import metrics
from billing.domain.overage import Owed, Report, identifier_of, units_of, wait_s
from billing.errors import NotOursError
from billing.repository import overage as repository
from contracts.ledger import OverageAccrued
from kit import logging

log = logging.get(__name__)


async def owe_overage(session: AsyncSession, event: OverageAccrued, *, now: datetime) -> None:
    """Add what accrued to the hour's open row, or begin its next one; less than a unit is carried on."""
    if event.collect != "meter":
        return
    carried = await repository.lock_carry(session, event.account_id)
    is_new = await repository.insert_fact(
        session,
        account_id=event.account_id,
        plan_id=event.plan_id,
        plan_version=event.plan_version,
        hour=event.hour,
        sequence=event.sequence,
        amount_nano=event.amount_nano,
        heard_at=now,
    )
    if not is_new:
        return
    units, carry_nano = units_of(event.amount_nano, carry_nano=carried)
    await repository.save_carry(session, event.account_id, carry_nano)
    if units:
        await add_units(session, event.account_id, event.hour, units=units, now=now)


async def add_units(session: AsyncSession, account_id: UUID, hour: datetime, *, units: int, now: datetime) -> None:
    """Under the account's carry, which orders its rows."""
    unsent = await repository.find_unsent(session, account_id, hour)
    if unsent is not None:
        await repository.add_units(session, account_id, hour, sequence=unsent, units=units)
        return
    sequence = await repository.next_sequence(session, account_id, hour)
    await repository.insert_row(
        session,
        account_id=account_id,
        hour=hour,
        sequence=sequence,
        units=units,
        identifier=identifier_of(account_id, hour, sequence),
        due_at=now,
    )


async def begin_report(session: AsyncSession, owed: Owed, *, dated_at: datetime, now: datetime) -> Owed:
    """Write down that a try begins, and how it is dated, before Stripe hears of it."""
    begun = replace(
        owed, state="sent", dated_at=dated_at, first_sent_at=owed.first_sent_at or now, attempts=owed.attempts + 1
    )
    await repository.update_row(
        session,
        owed,
        state="sent",
        dated_at=dated_at,
        first_sent_at=begun.first_sent_at,
        attempts=begun.attempts,
        due_at=now + timedelta(seconds=wait_s(begun.attempts)),
    )
    return begun


async def end_report(session: AsyncSession, owed: Owed, report: Report, *, now: datetime) -> None:
    """What the try came to; an unknown outcome stays `sent` and is tried again under the same identifier."""
    metrics.OVERAGE_REPORTED.labels(report.outcome).inc()
    due_at = now + timedelta(seconds=wait_s(owed.attempts))
    match report.outcome:
        case "accepted" | "rejected":
            await repository.update_row(session, owed, state=report.outcome, reason=report.reason)
        case "too_old":
            # Stripe did not count it, so it may be dated anew.
            await repository.update_row(session, owed, state="pending", dated_at=None, reason=report.reason, due_at=now)
        case "not_sent":
            state = "sent" if owed.attempts > 1 else "pending"
            await repository.update_row(session, owed, state=state, reason=report.reason, due_at=due_at)
        case "unknown":
            await repository.update_row(session, owed, reason=report.reason, due_at=due_at)


async def begin_anew(session: AsyncSession, owed: Owed, *, now: datetime) -> None:
    """What Stripe does not have, and whose identifier it may have forgotten: the next sequence carries its units."""
    await repository.lock_carry(session, owed.account_id)
    await repository.update_row(session, owed, state="expired", reason="not counted; reported anew")
    await add_units(session, owed.account_id, owed.hour, units=owed.units, now=now)


async def reject_use(session: AsyncSession, reasons: Sequence[tuple[str, str]]) -> None:
    """What Stripe found wrong afterwards: it was not counted, and stays with us until somebody repairs it."""
    rejected = await repository.reject_identifiers(session, reasons)
    if rejected == 0:
        raise NotOursError("None of the meter events is ours.")
    log.error("billing.overage_rejected", rows=rejected, reasons=sorted({reason for _, reason in reasons}))


async def retry_rejected(session: AsyncSession, *, now: datetime) -> int:
    """Report anew what Stripe refused, when the cause is gone; how many rows."""
    rejected = await repository.list_by_state(session, "rejected", limit=1000)
    for owed, _ in rejected:
        await begin_anew(session, owed, now=now)
    return len(rejected)


async def list_rows(session: AsyncSession, state: str, *, limit: int) -> list[tuple[str, int, str | None]]:
    """Identifier, units and reason of rows in a state."""
    rows = await repository.list_by_state(session, state, limit=limit)
    return [(owed.identifier, owed.units, reason) for owed, reason in rows]
