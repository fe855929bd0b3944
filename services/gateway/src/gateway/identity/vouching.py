"""How long a credential that was good may be used: auth is asked when the revocation topics fall silent (money.md 28).

The bound of `revoked`: a credential is used only while somebody vouches for it. The topics vouch for all credentials
as of the moment up to which they have been read, if that is less than 5 s ago. Else auth must have vouched for this one
less than 8 s ago: every 5 s for those in use, and at once for one that comes up in between. If auth does not answer
either, the last word of either counts for 60 s (a setting); after that no credential is accepted.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway import metrics
from gateway.adapters.auth import Asked, Rechecker, Standings
from gateway.identity.credential import Known
from kit import logging
from kit.clock import Clock
from kit.errors import UnavailableError
from kit.identity import Revocations

log = logging.get(__name__)

FRESH_S: Final = 5.0
EVERY_S: Final = 5.0
COVERED_S: Final = 8.0
"""A round every `EVERY_S`, the answer's time-out of 2 s, and what scheduling takes."""
PATIENCE_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.25
_FAILED_FOR_S: Final = 1.0
_BATCH: Final = 500


class Topics(Protocol):
    """The reader of the revocation topics."""

    current_at: float


class Vouching:
    """Decides whether a known credential stands, and asks auth about those that need it."""

    def __init__(
        self,
        topics: Topics,
        rechecker: Rechecker,
        revocations: Revocations,
        *,
        clock: Clock,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._topics = topics
        self._rechecker = rechecker
        self._revocations = revocations
        self._clock = clock
        self._patience_s = patience_s
        self._may_be_old_s = COVERED_S
        self._failed_at = float("-inf")
        self._waiting: list[Known] = []
        self._asking: asyncio.Task[None] | None = None

    def stands(self, known: Known, now_s: float) -> bool:
        """Whether `known` may be used without asking."""
        current_at = self._topics.current_at
        if now_s - current_at <= FRESH_S:
            return True
        return now_s - max(current_at, known.vouched_s) <= self._may_be_old_s

    async def vouch(self, known: Known) -> None:
        """Have auth vouch for it; raises `UnavailableError` when it cannot be said any longer whether it is good."""
        if self._clock.monotonic() - self._failed_at > _FAILED_FOR_S:
            self._waiting.append(known)
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask_waiting())
            # Shielded: one caller who leaves must not fail the others.
            await asyncio.shield(self._asking)
        if not self.stands(known, self._clock.monotonic()):
            raise UnavailableError("It cannot be checked whether this credential is still good.", retry_after_s=5)

    async def run(self, in_use: Callable[[], Sequence[Known]]) -> None:
        """While the topics are silent, recheck what is in use, again and again."""
        next_at = float("-inf")
        while True:
            now = self._clock.monotonic()
            if now - self._topics.current_at <= FRESH_S:
                self._may_be_old_s = COVERED_S
            elif now >= next_at:
                next_at = now + EVERY_S
                await self._ask_about(in_use())
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _ask_waiting(self) -> None:
        await asyncio.sleep(0)  # those of the same turn of the loop go along
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            await self._ask_about(waiting)

    async def _ask_about(self, credentials: Sequence[Known]) -> None:
        for some in _batches(credentials):
            asked_at = self._clock.monotonic()
            try:
                standings = await self._rechecker.recheck(Asked.about([one.credential.caller for one in some]))
            except UnavailableError:
                self._failed_at = self._clock.monotonic()
                self._may_be_old_s = self._patience_s
                metrics.CREDENTIALS_RECHECKED.labels("auth_away").inc(len(some))
                log.warning("gateway.credentials_not_rechecked", credentials=len(some))
                return
            self._apply(standings)
            self._may_be_old_s = COVERED_S
            metrics.CREDENTIALS_RECHECKED.labels("answered").inc(len(some))
            for one in some:
                one.vouched_s = asked_at

    def _apply(self, standings: Standings) -> None:
        for api_key_id in standings.ended_api_keys:
            self._revocations.end_key(api_key_id)
        now = self._clock.now()
        for session_id in standings.ended_sessions:
            self._revocations.end_session(session_id, expires_at=now, now=now)
        for user_id, user in standings.users:
            self._revocations.set_user(user_id, user)
        for account_id, user_id, member in standings.members:
            self._revocations.set_member(account_id, user_id, member)


def _batches(credentials: Sequence[Known]) -> list[Sequence[Known]]:
    return [credentials[at : at + _BATCH] for at in range(0, len(credentials), _BATCH)]
