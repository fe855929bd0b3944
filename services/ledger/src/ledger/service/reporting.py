"""What operators see of all accounts: margins, and what is owed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from ledger.domain.grants import NANO_PER_MINOR
from ledger.domain.margins import Margin, spread_fees
from ledger.repository import reports as repository
from ledger.repository.reports import Scope
from ledger.repository.usage import list_mix

__all__ = ["Liabilities", "MarginQuery", "Reporting", "Scope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginQuery:
    """Margins per subject over the UTC days `[first, last)`; `after` is the last subject of the page before."""

    scope: Scope
    first: date
    last: date
    account_id: UUID | None = None
    after: str | None = None
    limit: int


@dataclass(frozen=True, slots=True)
class Liabilities:
    """What is owed to us (debt, overage that is not collected yet), what we owe (grants), and what expired."""

    as_of: datetime
    indebted_accounts: int
    debt_nano: int
    unbilled_overage_nano: int
    granted: dict[tuple[str, bool], int]
    breakage: dict[str, int]


@dataclass(frozen=True, slots=True)
class Reporting:
    """Reports for operators."""

    clock: Clock

    async def margins(self, session: AsyncSession, wanted: MarginQuery) -> list[Margin]:
        """Recognised revenue less provider cost less payment fees, per account, model or plan."""
        rows = await repository.list_margins(
            session,
            wanted.scope,
            first=wanted.first,
            last=wanted.last,
            account_id=wanted.account_id,
            after=wanted.after,
            limit=wanted.limit,
        )
        if wanted.scope == "account":
            fees = await self._fees_of_accounts(session, wanted, [UUID(row.subject) for row in rows])
        else:
            fees = await self._spread(session, wanted, rows)
        return [Margin.of(row, fee_nano=fee) for row, fee in zip(rows, fees, strict=True)]

    async def _fees_of_accounts(self, session: AsyncSession, wanted: MarginQuery, account_ids: list[UUID]) -> list[int]:
        fees = await repository.sum_fees(
            session, starts_at=midnight(wanted.first), ends_at=midnight(wanted.last), account_ids=account_ids
        )
        return [fees.get(account_id, 0) * NANO_PER_MINOR for account_id in account_ids]

    async def _spread(self, session: AsyncSession, wanted: MarginQuery, rows: Sequence[Any]) -> list[int]:
        only = [wanted.account_id] if wanted.account_id else None
        fees = await repository.sum_fees(
            session, starts_at=midnight(wanted.first), ends_at=midnight(wanted.last), account_ids=only
        )
        whole = await repository.sum_recognised(
            session, first=wanted.first, last=wanted.last, account_id=wanted.account_id
        )
        return spread_fees(sum(fees.values()) * NANO_PER_MINOR, [row.recognised_nano for row in rows], whole=whole)

    async def liabilities(self, session: AsyncSession, *, starts_at: datetime, ends_at: datetime) -> Liabilities:
        now = self.clock.now()
        totals, breakage = await repository.sum_liabilities(session, starts_at=starts_at, ends_at=ends_at)
        return Liabilities(
            as_of=now,
            indebted_accounts=totals.indebted,
            debt_nano=totals.debt_nano,
            unbilled_overage_nano=await repository.sum_unbilled(session),
            granted=await repository.sum_granted(session, at=now),
            breakage=breakage,
        )

    async def indebted(self, session: AsyncSession, *, after: UUID | None, limit: int) -> Sequence[Any]:
        return await repository.list_indebted(session, after=after, limit=limit)

    async def mix(self, session: AsyncSession, *, days: int) -> Sequence[Any]:
        """Tokens of each class per model over the last whole days."""
        return await list_mix(session, today=self.clock.now().date(), days=days)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
