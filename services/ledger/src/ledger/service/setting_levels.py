"""Customers choose what they want to be warned of."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.errors import MissingReferentError
from ledger.domain.thresholds import Levels, parse_levels
from ledger.errors import UnknownAccountError
from ledger.repository.accounts import find_account
from ledger.service.accounts import Accounts
from ledger.service.auditing import Act, Auditing


@dataclass(frozen=True, slots=True)
class SettingLevels:
    """An account's own thresholds; None stands for the usual ones."""

    accounts: Accounts
    clock: Clock

    async def levels(self, session: AsyncSession, account_id: UUID) -> Levels | None:
        account = await find_account(session, account_id)
        if account is None:
            raise UnknownAccountError("There is no such account.")
        return parse_levels(account.levels) if account.levels else None

    async def choose(
        self, session: AsyncSession, account_id: UUID, levels: Levels | None, *, actor_user_id: UUID
    ) -> None:
        """Set all levels at once, in place of those before."""
        before = await self.levels(session, account_id)
        try:
            await self.accounts.set_levels(session, account_id, levels)
        except MissingReferentError:
            raise UnknownAccountError("There is no such account.") from None
        act = Act(
            account_id=account_id,
            actor_user_id=actor_user_id,
            action="levels.choose",
            target=f"account:{account_id}",
            before=_told(before),
            after=_told(levels),
        )
        await Auditing(self.clock).record(session, act)


def _told(levels: Levels | None) -> dict[str, Any] | None:
    if levels is None:
        return None
    return {
        "percent": list(levels.percent),
        "credits_nano": [str(figure) for figure in levels.credits_nano],
        "days_left": list(levels.days_left),
        "spend_spike_percent": levels.spend_spike_percent,
    }
