"""Money that came in becomes a grant."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.billing import PaymentSettled
from contracts.money import MAX_AMOUNT
from kit import logging, parking
from kit.clock import Clock
from kit.ids import uuid7
from ledger.domain.grants import Grant
from ledger.domain.transfers import STRIPE_CLEARING, TransferKind
from ledger.errors import AmountError
from ledger.repository import money_in as repository
from ledger.repository.grants import has_grant
from ledger.service.catalogue import Catalogue
from ledger.service.saving import lock_book, save

log = logging.get(__name__)


@dataclass(frozen=True, slots=True)
class Granting:
    """Settled payments."""

    catalogue: Catalogue
    clock: Clock

    async def grant_payment(self, session: AsyncSession, payment: PaymentSettled) -> None:
        """Turn a settled payment into a grant, once; recorded debt is paid out of it first."""
        now = self.clock.now()
        if not 0 <= payment.grant_amount <= MAX_AMOUNT or not 0 <= payment.paid_minor <= MAX_AMOUNT:
            raise AmountError("a payment's amounts are neither negative nor beyond all bounds", field="grant_amount")
        book = await lock_book(session, payment.account_id, now=now, catalogue=self.catalogue)
        if await repository.find_payment(session, payment.payment_id) is not None:
            return
        grant = Grant.bought(payment, grant_id=uuid7(self.clock), now=now)
        known = await has_grant(session, grant.account_id, rule=grant.rule, period=grant.period)
        is_granted = payment.grant_amount > 0 and not known
        if known:
            log.error("ledger.period_paid_twice", payment_id=payment.payment_id, rule=grant.rule)
        await repository.insert_payment(session, payment, grant_id=grant.id if is_granted else None, now=now)
        if is_granted:
            book.open_grant(
                grant, source=STRIPE_CLEARING, kind=TransferKind.TOPUP, reference=f"payment:{payment.payment_id}"
            )
            await save(session, [book], catalogue=self.catalogue, now=now)
        await parking.release(session, payment_referent(payment.payment_id))


def payment_referent(payment_id: str) -> str:
    return f"payment:{payment_id}"
