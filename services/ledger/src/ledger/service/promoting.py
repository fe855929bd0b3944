"""Promo codes: made by operators, redeemed by customers, once per account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.money import Unit
from kit.clock import Clock
from kit.errors import MissingReferentError
from kit.ids import uuid7
from ledger.domain.grants import ONCE, Grant, GrantSource
from ledger.domain.transfers import PROMO, TransferKind
from ledger.errors import (
    PromoExpiredError,
    PromoRedeemedError,
    PromoTakenError,
    PromoUsedUpError,
    UnknownAccountError,
    UnknownPromoError,
)
from ledger.repository import promos as repository
from ledger.service.auditing import Act, Auditing
from ledger.service.catalogue import Catalogue
from ledger.service.saving import lock_book, save

PRIORITY: Final = 120
"""After a plan's own units, before what was bought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPromo:
    """What an operator offers: to `most` accounts until `expires_at`, each grant for `valid_days`; None is for ever."""

    code: str
    unit: Unit
    amount: int
    valid_days: int | None
    most: int | None
    expires_at: datetime | None
    reason: str
    actor_user_id: UUID


@dataclass(frozen=True, slots=True)
class Promoting:
    """Promo codes."""

    catalogue: Catalogue
    clock: Clock

    async def create(self, session: AsyncSession, wanted: NewPromo) -> Any:
        now, code = self.clock.now(), wanted.code.upper()
        if wanted.expires_at is not None and wanted.expires_at <= now:
            raise PromoExpiredError("The code would have expired already.", field="expires_at")
        made = await repository.insert_promo(
            session,
            id=uuid7(self.clock),
            code=code,
            unit=wanted.unit,
            amount=wanted.amount,
            valid_days=wanted.valid_days,
            most=wanted.most,
            redeemed=0,
            expires_at=wanted.expires_at,
            reason=wanted.reason,
            actor_user_id=wanted.actor_user_id,
            created_at=now,
        )
        if not made:
            raise PromoTakenError("There is such a code already.", field="code")
        after = {"unit": wanted.unit.value, "amount": str(wanted.amount), "most": wanted.most}
        act = Act(
            actor_user_id=wanted.actor_user_id,
            action="promo.create",
            target=f"promo:{code}",
            reason=wanted.reason,
            after=after,
        )
        await Auditing(self.clock).record(session, act)
        return await repository.find_promo(session, code)

    async def codes(self, session: AsyncSession, *, before: UUID | None, limit: int) -> Sequence[Any]:
        return await repository.list_promos(session, before=before, limit=limit)

    async def redeem(self, session: AsyncSession, account_id: UUID, *, code: str, user_id: UUID) -> Grant:
        """Give the code's grant to the account, once, as long as there are any."""
        now = self.clock.now()
        promo = await repository.find_promo(session, code.upper())
        if promo is None:
            raise UnknownPromoError("There is no such code.", field="code")
        if promo.expires_at is not None and promo.expires_at <= now:
            raise PromoExpiredError("The code has expired.", field="code")
        try:
            book = await lock_book(session, account_id, now=now, catalogue=self.catalogue)
        except MissingReferentError:
            raise UnknownAccountError("There is no such account.") from None
        grant = _grant(promo, account_id=account_id, grant_id=uuid7(self.clock), now=now)
        if not await repository.insert_redemption(
            session, promo_id=promo.id, account_id=account_id, grant_id=grant.id, user_id=user_id, redeemed_at=now
        ):
            raise PromoRedeemedError("The account has redeemed this code before.", field="code")
        if not await repository.count_redemption(session, promo.id):
            raise PromoUsedUpError("The code has been redeemed as often as it may be.", field="code")
        book.open_grant(grant, source=PROMO, kind=TransferKind.TOPUP, reference=f"promo:{promo.code}")
        await save(session, [book], catalogue=self.catalogue, now=now)
        act = Act(
            account_id=account_id,
            actor_user_id=user_id,
            action="promo.redeem",
            target=f"promo:{promo.code}",
            after={"grant_id": str(grant.id), "unit": promo.unit, "amount": str(promo.amount)},
        )
        await Auditing(self.clock).record(session, act)
        return grant


def _grant(promo: Any, *, account_id: UUID, grant_id: UUID, now: datetime) -> Grant:
    return Grant(
        id=grant_id,
        account_id=account_id,
        source=GrantSource.PROMO,
        unit=Unit(promo.unit),
        amount=promo.amount,
        remaining=promo.amount,
        priority=PRIORITY,
        starts_at=now,
        expires_at=now + timedelta(days=promo.valid_days) if promo.valid_days else None,
        rule=f"promo:{promo.id}",
        period=ONCE,
        payment_id=None,
        paid_minor=None,
        created_at=now,
    )
