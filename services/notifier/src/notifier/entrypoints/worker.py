"""Sends what is queued: claim, commit, send, settle; woken by commits and by the clock."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from kit import logging
from kit.backoff import Backoff
from kit.clock import Clock
from kit.database import Database
from notifier.domain.delivering import Claimed, Outcome, State
from notifier.errors import EndpointGoneError, NothingToSendError, PermanentError, TemporaryError
from notifier.service.deliveries import Deliveries, measure_backlog
from notifier.service.endpoints import find_sealed
from notifier.service.planning import Planning
from notifier.service.pushing import Pusher
from notifier.service.sending import Sender

log = logging.get(__name__)

_BACKLOG_EVERY_S = 15.0


Attempt = Callable[[Claimed], Awaitable[Outcome]]


class DeliveryWorker:
    """Works on at most `slots` deliveries of one lane at a time. Several workers may run: claims are leases.

    A process that dies between sending and settling has its deliveries sent again when the leases end.
    """

    def __init__(
        self, *, database: Database, deliveries: Deliveries, attempt: Attempt, slots: int = 8, poll_s: float = 1.0
    ) -> None:
        self._database = database
        self._deliveries = deliveries
        self._attempt_once = attempt
        self._slots = slots
        self._poll_s = poll_s
        # Half the lease for sending leaves the other half for settling, so a slow attempt never meets a second one.
        self._attempt_timeout_s = deliveries.lease_s / 2
        self._wake = asyncio.Event()
        self._busy: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled; PostgreSQL away means waiting longer."""
        backoff = Backoff()
        try:
            while True:
                self._wake.clear()
                try:
                    await self._start_due()
                    backoff.reset()
                except (SQLAlchemyError, OSError, TimeoutError) as error:
                    log.warning("notifier.claim_delayed", reason=type(error).__name__)
                    await asyncio.sleep(backoff.next_s())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._poll_s)
        finally:
            await self._finish_started()

    async def _start_due(self) -> None:
        free = self._slots - len(self._busy)
        if free == 0:
            return
        async with self._database.transaction() as session:
            claimed = await self._deliveries.claim(session, limit=free)
        for one in claimed:
            task = asyncio.create_task(self._deliver(one), name=f"delivery {one.id}")
            self._busy.add(task)
            task.add_done_callback(self._ended)

    async def _deliver(self, claimed: Claimed) -> None:
        outcome = await self._attempt(claimed)
        try:
            async with self._database.transaction() as session:
                await self._deliveries.settle(session, claimed, outcome)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            # The lease ends by itself and the delivery is attempted again, with the same Message-ID.
            log.warning("notifier.settling_failed", delivery_id=str(claimed.id), reason=type(error).__name__)

    async def _attempt(self, claimed: Claimed) -> Outcome:
        try:
            async with asyncio.timeout(self._attempt_timeout_s):
                return await self._attempt_once(claimed)
        except TimeoutError:
            state, reason = State.PENDING, f"not done within {self._attempt_timeout_s:g} s"
        except NothingToSendError as error:
            state, reason = State.SKIPPED, error.reason
        except EndpointGoneError as error:
            return Outcome(state=State.FAILED, reason=error.reason, gone=True)
        except PermanentError as error:
            state, reason = State.FAILED, error.reason
        except TemporaryError as error:
            state, reason = State.PENDING, error.reason
        except (SQLAlchemyError, OSError) as error:
            state, reason = State.PENDING, f"the database does not answer: {type(error).__name__}"
        return Outcome(state=state, reason=reason, mailed_to=claimed.mailed_to)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("notifier.attempt_broke", task=task.get_name(), kind=type(error).__name__)
        self.wake()

    async def _finish_started(self) -> None:
        """Let mails that are on their way be settled, within a bound, so that a clean stop sends nothing twice."""
        if self._busy:
            _, left = await asyncio.wait(self._busy, timeout=5.0)
            for task in left:
                task.cancel()


def mailing(database: Database, planning: Planning, sender: Sender) -> Attempt:
    """One attempt at a mail; no transaction is open while auth or the mail server is waited for."""

    async def attempt(claimed: Claimed) -> Outcome:
        recipients = await sender.recipients(claimed)
        async with database.reading() as session:
            plan = await planning.plan(session, claimed, recipients)
        return await sender.send(claimed, plan)

    return attempt


def pushing(database: Database, pusher: Pusher) -> Attempt:
    """One attempt at an endpoint."""

    async def attempt(claimed: Claimed) -> Outcome:
        assert claimed.target_id is not None
        async with database.reading() as session:
            endpoint = await find_sealed(session, claimed.target_id)
        return await pusher.push(claimed, endpoint)

    return attempt


async def watch_backlog(database: Database, clock: Clock) -> None:
    """Keep the metrics of what waits up to date until cancelled."""
    while True:
        try:
            async with database.reading() as session:
                await measure_backlog(session, clock=clock)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("notifier.backlog_not_measured", reason=type(error).__name__)
        await asyncio.sleep(_BACKLOG_EVERY_S)
