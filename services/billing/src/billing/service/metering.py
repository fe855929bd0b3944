"""Telling Stripe's meter, over short transactions with Stripe between them and never inside one."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billing import metrics
from billing.adapters.stripe_meters import StripeMeters
from billing.domain.overage import DRAFT, HOUR, NO_SUBSCRIPTION, SUMMED, Owed, Reach, Report, dated, is_closed, wait_s
from billing.errors import LeaseLostError, StripeMissingError, StripeRefusedError
from billing.repository import overage as repository
from billing.repository.overage import Metered
from billing.service import inbox
from billing.service.overage import begin_anew, begin_report, end_report
from kit import logging
from kit.clock import Clock
from kit.database import Database

log = logging.get(__name__)

BATCH: Final = 100


class Metering:
    """Any number of these may run: an account's rows are told by one at a time, in order."""

    def __init__(self, database: Database, meters: StripeMeters, *, clock: Clock) -> None:
        self._database = database
        self._meters = meters
        self._clock = clock

    async def once(self) -> int:
        """Everything that is due now; how many rows were worked on."""
        await self.add_items()
        await self.compare_closed()
        async with self._database.reading() as session:
            owing = await repository.list_owing(session, self._clock.now(), limit=BATCH)
        return sum([await self.tell(account_id) for account_id in owing])

    async def add_items(self) -> None:
        """Give every subscription that needs one the item that bills the meter, before anything is used."""
        async with self._database.reading() as session:
            bare = await repository.list_unmetered(session, limit=BATCH)
        for subscription_id, account_id in bare:
            try:
                item_id, since = await self._meters.ensure_item(subscription_id)
            except (StripeMissingError, StripeRefusedError) as error:
                # One that Stripe will not change must not keep the others from being billed.
                log.warning("billing.metered_item_refused", subscription_id=subscription_id, reason=error.detail)
                continue
            async with self._database.transaction() as session:
                values = {"subscription_id": subscription_id, "account_id": account_id}
                await repository.insert_item(session, **values, item_id=item_id, since=since)

    async def tell(self, account_id: UUID) -> int:
        """Report an account's rows one after the other; what cannot be sent now waits."""
        async with self._database.transaction() as session:
            lease = await inbox.take_lease(session, f"meter:{account_id}", now=self._clock.now())
        if lease is None:
            return 0
        try:
            return await self._tell_in_order(account_id, lease)
        except LeaseLostError:
            return 0
        finally:
            async with self._database.transaction() as session:
                await inbox.release_lease(session, lease, now=self._clock.now())

    async def _tell_in_order(self, account_id: UUID, lease: inbox.Lease) -> int:
        now = self._clock.now()
        async with self._database.reading() as session:
            owed = await repository.list_owed(session, account_id, now)
            metered = await repository.find_metered(session, account_id)
        for told, one in enumerate(owed):
            if metered is None:
                await self._wait_for_item(one)
            elif one.is_past_asking(now):
                await self._look_up(one, metered, lease)
            elif one.dated_at and is_closed(one.dated_at, _reach(metered), now=now):
                await self._look_up_once_summed(one, metered, lease)
            elif not await self._report(one, metered, lease):
                return told + 1
        return len(owed)

    async def _wait_for_item(self, owed: Owed) -> None:
        """Without a subscription there is no invoice to bill it on; `reconcile` names it."""
        async with self._database.transaction() as session:
            due_at = self._clock.now() + timedelta(seconds=wait_s(owed.attempts))
            await repository.update_row(
                session, owed, attempts=owed.attempts + 1, due_at=due_at, reason=NO_SUBSCRIPTION
            )

    async def _report(self, owed: Owed, metered: Metered, lease: inbox.Lease) -> bool:
        """Whether Stripe answered; if not, what follows waits as well."""
        now = self._clock.now()
        stamp = owed.dated_at or dated(owed.hour, _reach(metered), now=now)
        async with self._database.transaction() as session:
            await inbox.check_lease(session, lease)
            begun = await begin_report(session, owed, dated_at=stamp, now=now)
        report = await self._meters.report(begun, customer=metered.customer, dated_at=stamp)
        async with self._database.transaction() as session:
            await inbox.check_lease(session, lease)
            await end_report(session, begun, report, now=self._clock.now())
        return report.outcome in {"accepted", "rejected"}

    async def _look_up_once_summed(self, owed: Owed, metered: Metered, lease: inbox.Lease) -> None:
        """An outcome unknown when the invoice became final: the same event again might count where nothing bills it."""
        summed_at = metered.period_start + DRAFT + SUMMED
        if self._clock.now() >= summed_at:
            await self._look_up(owed, metered, lease)
            return
        async with self._database.transaction() as session:
            await inbox.check_lease(session, lease)
            await repository.update_row(session, owed, due_at=summed_at, reason="its invoice became final")

    async def _look_up(self, owed: Owed, metered: Metered, lease: inbox.Lease) -> None:
        """An outcome that stayed unknown for too long: Stripe's count of that hour decides, never another try."""
        stamp = owed.dated_at or owed.hour
        start = stamp.replace(minute=0, second=0, microsecond=0)
        counted = await self._meters.count(metered.customer, start=start, end=start + HOUR)
        async with self._database.transaction() as session:
            await inbox.check_lease(session, lease)
            rows = await repository.list_in_window(session, owed.account_id, start, start + HOUR)
            sure = sum(row.units for row in rows if row.state == "accepted")
            if counted >= sure + owed.units:
                await end_report(session, owed, Report("accepted", "found in Stripe's count"), now=self._clock.now())
            else:
                await begin_anew(session, owed, now=self._clock.now())

    async def compare_closed(self) -> None:
        """While the invoice of a period that just ended is a draft, hold the meter against our rows."""
        now = self._clock.now()
        async with self._database.reading() as session:
            fresh = [one for one in await repository.list_metered(session) if _is_closing(one, now)]
            waiting = [
                one for one in fresh if not await repository.is_checked(session, one.subscription_id, one.period_start)
            ]
        for one in waiting:
            await self.compare(one, start=one.since, end=one.period_start)

    async def compare(self, one: Metered, *, start: datetime, end: datetime) -> int:
        """What the meter lacks of what we reported; a difference is named, and what is surely missing sent again."""
        counted = await self._meters.count(one.customer, start=start, end=end)
        async with self._database.transaction() as session:
            rows = await repository.list_in_window(session, one.account_id, start, end)
            reported = sum(row.units for row in rows if row.state == "accepted")
            await repository.save_check(
                session,
                subscription_id=one.subscription_id,
                period_end=end,
                account_id=one.account_id,
                period_start=start,
                reported_units=reported,
                counted_units=counted,
                checked_at=self._clock.now(),
            )
        if counted != reported:
            metrics.OVERAGE_DIFFERED.inc()
            log.error(
                "billing.overage_differed",
                account_id=str(one.account_id),
                reported_units=reported,
                counted_units=counted,
            )
        return reported - counted


def _reach(metered: Metered) -> Reach:
    return Reach(metered.since, metered.period_start)


def _is_closing(one: Metered, now: datetime) -> bool:
    return one.since < one.period_start <= now < one.period_start + DRAFT
