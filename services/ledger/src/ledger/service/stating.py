"""Statements."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from ledger.domain.statements import Statement, month_of, statement
from ledger.errors import PeriodError, UnknownAccountError
from ledger.repository.accounts import find_account
from ledger.service.standing import standing_at

_TICK: Final = timedelta(microseconds=1)
"""The finest that the database tells apart: just before an instant."""


@dataclass(frozen=True, slots=True)
class Stating:
    """Statements of months."""

    clock: Clock

    async def state_month(self, session: AsyncSession, account_id: UUID, period: str) -> Statement:
        """A month that is not over stands as of now."""
        now, month = self.clock.now(), month_of(period)
        if month.starts_at > now:
            raise PeriodError("the month has not begun", field="period")
        if await find_account(session, account_id) is None:
            raise UnknownAccountError("There is no such account.")
        opening = await standing_at(session, account_id, month.starts_at - _TICK)
        closing = await standing_at(session, account_id, min(month.ends_at - _TICK, now))
        return statement(period, month, opening=opening, closing=closing, now=now)
