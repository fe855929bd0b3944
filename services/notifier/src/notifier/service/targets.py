"""What a delivery to an endpoint leaves behind: whether the endpoint works, waits, or is given up."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from notifier.domain.delivering import Claimed, Outcome, State
from notifier.domain.endpoints import DISABLE_AFTER, ENDPOINT_DISABLED, Endpoint
from notifier.repository import deliveries, endpoints
from notifier.service.noticing.queue import NoticeQueue


class Targets:
    """Keeps endpoints' health in the transaction that settles a delivery."""

    def __init__(self, *, clock: Clock, queue: NoticeQueue) -> None:
        self._clock = clock
        self._queue = queue

    async def settle(
        self, session: AsyncSession, claimed: Claimed, outcome: Outcome, *, next_attempt_at: datetime
    ) -> None:
        assert claimed.target_id is not None
        if outcome.state == State.SENT:
            await endpoints.note_success(session, claimed.target_id)
        elif outcome.state != State.SKIPPED:
            since = await endpoints.note_failure(session, claimed.target_id, now=self._clock.now())
            if outcome.state == State.PENDING:
                await deliveries.postpone_target(session, claimed.target_id, until=next_attempt_at)
            else:
                await self._given_up(session, claimed, outcome, since=since)

    async def _given_up(
        self, session: AsyncSession, claimed: Claimed, outcome: Outcome, *, since: datetime | None
    ) -> None:
        assert claimed.target_id is not None
        now, reason = self._clock.now(), outcome.reason or "unknown"
        await self._queue.alert_operators(
            session,
            kind="webhook-failures",
            key=f"{claimed.target_id}:{now:%Y-%m-%dT%H}",
            occurred_at=now,
            said_by="notifier",
            account_id=str(claimed.account_id),
            endpoint_id=str(claimed.target_id),
            channel=claimed.channel,
            reason=reason,
        )
        if outcome.gone or (since is not None and now - since >= DISABLE_AFTER):
            disabled = await endpoints.disable(session, claimed.target_id, reason=reason)
            if disabled is not None:
                await self._tell(session, disabled, now, reason=reason)

    async def _tell(self, session: AsyncSession, endpoint: Endpoint, now: datetime, *, reason: str) -> None:
        """Its owners hear of it, and so do the account's other endpoints."""
        await self._queue.tell_account(
            session,
            endpoint.account_id,
            kind=ENDPOINT_DISABLED,
            key=f"{endpoint.id}:{now.isoformat()}",
            occurred_at=now,
            endpoint=endpoint.shown,
            channel=endpoint.channel,
            reason=reason,
            failing_since=endpoint.failing_since.isoformat() if endpoint.failing_since else None,
        )
