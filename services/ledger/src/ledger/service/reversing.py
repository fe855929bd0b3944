"""Money that went back, or came back again (money.md 23)."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.billing import PaymentReversed
from contracts.money import Unit
from kit.clock import Clock
from kit.errors import MissingReferentError
from kit.ids import uuid7
from ledger.domain.book import AccountBook
from ledger.domain.grants import Grant
from ledger.domain.reversals import Reversal, ReversalState, share_to_take
from ledger.domain.transfers import DISPUTES_HELD, STRIPE_CLEARING, TransferKind
from ledger.errors import ReversalMismatchError
from ledger.repository import money_in as repository
from ledger.service.catalogue import Catalogue
from ledger.service.granting import payment_referent
from ledger.service.saving import lock_book, save

STATES: Final[dict[str, ReversalState]] = {
    "refund": "refunded",
    "dispute_opened": "disputed",
    "dispute_won": "won",
    "dispute_lost": "lost",
}
RETURNED_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Reversing:
    """Refunds and disputes."""

    catalogue: Catalogue
    clock: Clock

    async def reverse_payment(self, session: AsyncSession, event: PaymentReversed) -> None:
        """Take from the grant that the payment made, or invert what a dispute took; by reversal id, in any order."""
        now = self.clock.now()
        payment = await repository.find_payment(session, event.payment_id)
        if payment is None:
            raise MissingReferentError(payment_referent(event.payment_id))
        if payment.account_id != event.account_id:
            raise ReversalMismatchError("the payment belongs to another account", field="account_id")
        grant_ids = [payment.grant_id] if payment.grant_id else []
        book = await lock_book(session, event.account_id, now=now, also=grant_ids, catalogue=self.catalogue)
        before = await repository.list_reversals(session, event.payment_id)
        standing = next((reversal for reversal in before if reversal.reversal_id == event.reversal_id), None)
        reversal = self._after(book, payment, event, standing=standing, before=before)
        if reversal is None:
            return
        await repository.upsert_reversal(session, reversal, account_id=event.account_id, now=now)
        if book.transfers:
            await save(session, [book], catalogue=self.catalogue, now=now)

    def _after(
        self,
        book: AccountBook,
        payment: Any,
        event: PaymentReversed,
        *,
        standing: Reversal | None,
        before: list[Reversal],
    ) -> Reversal | None:
        """The reversal as it stands after this event; None when the event is news of the past."""
        state = STATES[event.kind]
        if standing is None:
            return _take(book, payment, event, state=state, before=before)
        if standing.state != "disputed" or state not in ("won", "lost"):
            return None
        if state == "won":
            self._give_back(book, payment, standing)
        else:
            _lose(book, payment, standing)
        return replace(standing, state=state)

    def _give_back(self, book: AccountBook, payment: Any, reversal: Reversal) -> None:
        grant = book.grant(payment.grant_id) if payment.grant_id else None
        if grant is None:
            return
        reference = f"reversal:{reversal.reversal_id}"
        if not grant.expired_at(book.now):
            book.give_back(
                grant,
                taken=reversal.taken_amount,
                owed=reversal.taken_debt,
                reference=reference,
                source=DISPUTES_HELD,
            )
            return
        # What would fall into an expired grant is given anew, and pays what it made debt.
        anew = Grant.adjusted(
            grant_id=uuid7(self.clock),
            account_id=book.account.id,
            amount=reversal.taken_amount + reversal.taken_debt,
            rule=reference,
            expires_at=book.now + timedelta(days=RETURNED_DAYS),
            now=book.now,
            unit=grant.unit,
        )
        if anew.amount:
            book.open_grant(anew, source=DISPUTES_HELD, kind=TransferKind.REINSTATEMENT, reference=reference)


def _lose(book: AccountBook, payment: Any, reversal: Reversal) -> None:
    """What was held of a lost dispute is the bank's for good."""
    grant = book.grant(payment.grant_id) if payment.grant_id else None
    parts = [(reversal.taken_amount, grant.unit if grant else Unit.CREDIT), (reversal.taken_debt, Unit.CREDIT)]
    for amount, unit in parts:
        if amount:
            kind, reference = TransferKind.DISPUTE, f"reversal:{reversal.reversal_id}"
            book.record(DISPUTES_HELD, STRIPE_CLEARING, amount, kind=kind, unit=unit, reference=reference)


def _take(
    book: AccountBook, payment: Any, event: PaymentReversed, *, state: ReversalState, before: list[Reversal]
) -> Reversal:
    taken = owed = 0
    grant = book.grant(payment.grant_id) if payment.grant_id else None
    if grant is not None and state != "won":
        share = share_to_take(
            grant_amount=grant.amount,
            paid_minor=payment.paid_minor,
            reversed_minor=max(0, event.reversed_minor),
            before=before,
        )
        # What is disputed is held until the dispute is decided; any other reversal is final.
        target = DISPUTES_HELD if state == "disputed" else STRIPE_CLEARING
        taken, owed = book.take_back(grant, share, reference=f"reversal:{event.reversal_id}", target=target)
    return Reversal(
        reversal_id=event.reversal_id,
        payment_id=event.payment_id,
        state=state,
        reversed_minor=max(0, event.reversed_minor),
        taken_amount=taken,
        taken_debt=owed,
    )
