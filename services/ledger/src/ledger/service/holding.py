"""Operators hold accounts over HTTP: the hold, and the audit record of who did it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from ledger.service.auditing import Act, Auditing
from ledger.service.freezing import Freezing


@dataclass(frozen=True, slots=True)
class Holding:
    """Freezing and thawing, written down."""

    freezing: Freezing
    clock: Clock

    async def set_frozen(
        self, session: AsyncSession, account_id: UUID, *, frozen: bool, reason: str, actor_user_id: UUID
    ) -> int:
        """The version of the snapshot that tells gateways."""
        version = await self.freezing.set_frozen(
            session, account_id, frozen=frozen, reason=reason, actor=str(actor_user_id)
        )
        act = Act(
            account_id=account_id,
            actor_user_id=actor_user_id,
            action="account.freeze" if frozen else "account.thaw",
            target=f"account:{account_id}",
            reason=reason,
            before={"frozen": not frozen},
            after={"frozen": frozen},
        )
        await Auditing(self.clock).record(session, act)
        return version
