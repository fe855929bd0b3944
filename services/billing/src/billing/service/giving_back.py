"""Overage that became less and that nothing offset: an item on the customer's next invoice gives it back, once."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing import metrics
from billing.adapters.stripe_meters import StripeMeters
from billing.domain.amounts import NANO_PER_MINOR
from billing.domain.overage import OFFSET_FOR, wait_s
from billing.errors import StripeMissingError, StripeRefusedError
from billing.repository import accounts
from billing.repository import overage as rows
from billing.repository import overage_credits as repository
from kit import logging
from kit.clock import Clock
from kit.database import Database
from kit.errors import UnavailableError
from kit.ids import uuid7

log = logging.get(__name__)

BATCH: Final = 100
WORDS: Final = "Use that was corrected"


@dataclass(frozen=True, slots=True)
class GivingBack:
    """Any number of processes may do this: a credit is written down first, and its id is what makes it count once."""

    database: Database
    meters: StripeMeters
    clock: Clock

    async def once(self) -> int:
        """Everything that is due; how many credits were begun or tried."""
        async with self.database.reading() as session:
            before = self.clock.now() - OFFSET_FOR
            reduced = await repository.list_reduced(
                session, at_most_nano=-NANO_PER_MINOR, heard_before=before, limit=BATCH
            )
        for account_id in reduced:
            async with self.database.transaction() as session:
                await self._begin(session, account_id)
        async with self.database.reading() as session:
            due = await repository.list_due(session, self.clock.now(), limit=BATCH)
        for credit in due:
            await self._give(credit)
        return len(reduced) + len(due)

    async def _begin(self, session: AsyncSession, account_id: UUID) -> None:
        """Take the whole cents out of the carry; what is less stays there."""
        carried = await rows.lock_carry(session, account_id)
        metered = await rows.find_metered(session, account_id)
        amount_minor = -carried // NANO_PER_MINOR
        if amount_minor <= 0 or metered is None:
            return
        await rows.save_carry(session, account_id, carried + amount_minor * NANO_PER_MINOR)
        now = self.clock.now()
        await repository.insert_credit(
            session,
            id=uuid7(self.clock),
            account_id=account_id,
            amount_minor=amount_minor,
            currency=metered.currency,
            due_at=now,
            created_at=now,
        )

    async def _give(self, credit: Any) -> None:
        now = self.clock.now()
        async with self.database.transaction() as session:
            due_at = now + timedelta(seconds=wait_s(credit.tries + 1))
            if not await repository.count_try(session, credit.id, now=now, due_at=due_at):
                return
            customer = await accounts.find_customer(session, credit.account_id)
        if customer is None:
            return
        try:
            item_id = await self._item(credit, customer)
        except UnavailableError as error:
            log.warning("billing.overage_credit_delayed", credit_id=str(credit.id), code=error.code)
            return
        except (StripeRefusedError, StripeMissingError) as error:
            # It stays due: what is owed to a customer is not given up.
            log.error("billing.overage_credit_refused", credit_id=str(credit.id), reason=error.detail)  # noqa: TRY400
            return
        async with self.database.transaction() as session:
            await repository.save_given(session, credit.id, item_id)
        metrics.OVERAGE_GIVEN_BACK.inc()

    async def _item(self, credit: Any, customer: str) -> str:
        """The item of an earlier try, if that got there: Stripe forgets its key after a day, but not what it made."""
        if credit.tries and (found := await self.meters.find_credit(customer, credit.id)):
            return found
        return await self.meters.credit(
            customer, credit.id, amount_minor=credit.amount_minor, currency=credit.currency, words=WORDS
        )
