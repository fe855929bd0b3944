"""Operators change balances, with a reason."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.money import MAX_AMOUNT
from kit.clock import Clock
from kit.errors import MissingReferentError
from kit.ids import uuid7
from ledger.domain.book import AccountBook
from ledger.domain.grants import Grant
from ledger.domain.transfers import ADJUSTMENTS, TransferKind
from ledger.errors import AmountError, InsufficientCreditsError, UnknownAccountError
from ledger.repository import money_in as repository
from ledger.service.auditing import Act, Auditing
from ledger.service.catalogue import Catalogue
from ledger.service.saving import lock_book, save


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What an operator wants changed, who, and why."""

    account_id: UUID
    amount_nano: int
    reason: str
    actor_user_id: UUID
    expires_in_days: int | None
    allow_debt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """What became of an adjustment."""

    adjustment_id: UUID
    grant_id: UUID | None
    available_nano: int
    debt_nano: int
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Adjusting:
    """Adjustments by operators."""

    catalogue: Catalogue
    clock: Clock

    async def adjust_credits(self, session: AsyncSession, wanted: Adjustment) -> Adjusted:
        """Give credits as a grant, or take them in burn order: to zero at most unless debt is allowed."""
        now, adjustment_id = self.clock.now(), uuid7(self.clock)
        try:
            book = await lock_book(session, wanted.account_id, now=now, catalogue=self.catalogue)
        except MissingReferentError:
            raise UnknownAccountError("There is no such account.", field="account_id") from None
        grant = self._post(book, wanted, adjustment_id=adjustment_id)
        await repository.insert_adjustment(
            session,
            id=adjustment_id,
            account_id=wanted.account_id,
            amount_nano=wanted.amount_nano,
            reason=wanted.reason,
            actor_user_id=wanted.actor_user_id,
            allow_debt=wanted.allow_debt,
            grant_id=grant.id if grant else None,
            created_at=now,
        )
        await save(session, [book], catalogue=self.catalogue, now=now)
        act = Act(
            account_id=wanted.account_id,
            actor_user_id=wanted.actor_user_id,
            action="credits.adjust",
            target=f"account:{wanted.account_id}",
            reason=wanted.reason,
            after={"adjustment_id": str(adjustment_id), "amount_nano": str(wanted.amount_nano)},
        )
        await Auditing(self.clock).record(session, act)
        return Adjusted(
            adjustment_id=adjustment_id,
            grant_id=grant.id if grant else None,
            available_nano=book.available_nano(),
            debt_nano=book.account.debt_nano,
            version=book.account.version,
            created_at=now,
        )

    def _post(self, book: AccountBook, wanted: Adjustment, *, adjustment_id: UUID) -> Grant | None:
        reference = f"adjustment:{adjustment_id}"
        if wanted.amount_nano < 0:
            _refuse_beyond(book, wanted)
            book.adjust_down(-wanted.amount_nano, target=ADJUSTMENTS, reference=reference)
            return None
        days = wanted.expires_in_days
        grant = Grant.adjusted(
            grant_id=uuid7(self.clock),
            account_id=wanted.account_id,
            amount=wanted.amount_nano,
            rule=reference,
            expires_at=book.now + timedelta(days=days) if days else None,
            now=book.now,
        )
        book.open_grant(grant, source=ADJUSTMENTS, kind=TransferKind.ADJUSTMENT, reference=reference)
        return grant


def _refuse_beyond(book: AccountBook, wanted: Adjustment) -> None:
    owed = -wanted.amount_nano - book.available_nano()
    if owed > 0 and not wanted.allow_debt:
        raise InsufficientCreditsError(
            "The account has less than that; `allow_debt` lets it owe the rest.", field="amount_credits"
        )
    # Gateways refuse a snapshot whose debt they cannot count with, and would stay at the one before (money.md 2).
    if owed > 0 and book.account.debt_nano + owed > MAX_AMOUNT:
        raise AmountError("The account would owe more than can be counted.", field="amount_credits")
