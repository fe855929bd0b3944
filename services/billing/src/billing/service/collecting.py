"""What is taken while nobody is there: decided in one transaction, asked of Stripe outside, applied in another."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing import metrics
from billing.adapters.ledger_api import LedgerApi
from billing.adapters.stripe_payments import StripePayments
from billing.adapters.stripe_taxes import StripeTaxes
from billing.domain.calendar import hour_of
from billing.domain.catalogue import TOP_UP, TopUpSpec
from billing.domain.collecting import AttemptState, Spent, TopUpRule, due_minor, retry_at, top_up_minor
from billing.domain.offers import Terms
from billing.domain.paying import LEAST_COLLECTED_MINOR
from billing.errors import CardDeclinedError, FeeNotKnownError, StripeMissingError, StripeRefusedError
from billing.repository import accounts, catalogue, payments, use
from billing.repository import attempts as repository
from billing.repository import settings as account_settings
from billing.service.attempts import PATIENCE, apply_attempt, begin_attempt, give_up
from billing.service.paths import Paths
from billing.service.taxes import due_on_top
from kit import logging
from kit.clock import Clock
from kit.database import Database
from kit.errors import DomainError, UnavailableError

log = logging.get(__name__)

BATCH: Final = 50
LOOK_EVERY: Final = timedelta(minutes=1)
BOOKED_AFTER: Final = timedelta(minutes=3)
"""How long the books may take for what was paid; a second payment for the same gap would be one too many."""
OVERDUE_AFTER: Final = timedelta(minutes=15)
OFTEN_A_DAY: Final = 5
LONGEST_WAIT: Final = timedelta(minutes=10)
_HISTORY: Final = 20


@dataclass(frozen=True, slots=True)
class Collecting:
    """Any number of processes may do this: an account has one open attempt per purpose, and each try is claimed."""

    database: Database
    stripe: StripePayments
    taxes: StripeTaxes
    ledger: LedgerApi | None
    paths: Paths
    clock: Clock

    async def once(self) -> int:
        """Everything that is due; how much there was."""
        looked = await self._look_at_balances()
        await self._withdraw_overtaken()
        begun = await self._collect_use()
        return looked + begun + await self._try_due()

    async def _look_at_balances(self) -> int:
        if self.ledger is None:
            return 0
        async with self.database.reading() as session:
            found = await account_settings.list_to_look_at(session, self.clock.now(), limit=BATCH)
        for account_id in found:
            await self._look_at(account_id, self.ledger)
        return len(found)

    async def _look_at(self, account_id: UUID, ledger: LedgerApi) -> None:
        try:
            available_nano = await ledger.available_nano(account_id, now=self.clock.now())
        except UnavailableError:
            log.warning("billing.balance_not_known", account_id=str(account_id))
            available_nano = None
        async with self.database.transaction() as session:
            await self._decide(session, account_id, available_nano)

    async def _decide(self, session: AsyncSession, account_id: UUID, available_nano: int | None) -> None:
        now = self.clock.now()
        await accounts.lock_account(session, account_id)
        row = await account_settings.find_settings(session, account_id)
        if row is None or row.top_up_below_nano is None:
            return
        changed: dict[str, Any] = {"top_up_look_at": now + LOOK_EVERY}
        if available_nano is not None:
            is_low = available_nano <= row.top_up_below_nano
            changed["top_up_low_since"] = (row.top_up_low_since or now) if is_low else None
            if is_low:
                is_held = await self._top_up(session, row, available_nano=available_nano, now=now)
                if is_held:
                    # Somebody's decision, not a fault: no alarm.
                    changed["top_up_low_since"] = None
        await account_settings.save_settings(session, account_id, **changed)

    async def _top_up(self, session: AsyncSession, row: Any, *, available_nano: int, now: datetime) -> bool:
        """Begin a top-up if one may be made; true where a pause, a cap, a back-off or a closed path holds it."""
        account_id = row.account_id
        if row.top_up_paused or not (await self.paths.of_account(session, account_id)).allows("auto_top_up"):
            return True
        if await repository.find_open_attempt(session, account_id, "auto_top_up") is not None:
            return False
        found = await catalogue.find_holding(session, TOP_UP, now)
        if found is None or row.payment_method_id is None or not isinstance(found[0].spec, TopUpSpec):
            return True
        if await self._waits(session, row, now=now):
            return True
        return not await self._begin_top_up(session, row, terms=found[0], available_nano=available_nano, now=now)

    async def _waits(self, session: AsyncSession, row: Any, *, now: datetime) -> bool:
        """Whether the last outcomes ask for patience: a decline backs off, what has just been paid is being booked."""
        latest = await repository.list_latest(session, row.account_id, "auto_top_up", limit=_HISTORY)
        ended = _ended(latest)
        may_at = retry_at(ended)
        if may_at is not None:
            return latest[0].payment_method_id == row.payment_method_id and now < may_at
        return bool(ended) and now - ended[0][1] < BOOKED_AFTER

    async def _begin_top_up(
        self, session: AsyncSession, row: Any, *, terms: Terms, available_nano: int, now: datetime
    ) -> bool:
        """Write down one payment that closes the gap; false where the customer's caps leave no room for it."""
        assert isinstance(terms.spec, TopUpSpec)
        amount = top_up_minor(
            rule_of(row),
            available_nano=available_nano,
            spent=await self._spent(session, row.account_id, now=now),
            least_minor=terms.spec.least_minor,
            most_minor=terms.spec.most_minor,
        )
        if amount is None:
            return False
        await begin_attempt(
            session,
            row.account_id,
            purpose="auto_top_up",
            terms=terms,
            amount_minor=amount,
            payment_method_id=row.payment_method_id,
            clock=self.clock,
        )
        return True

    async def _spent(self, session: AsyncSession, account_id: UUID, *, now: datetime) -> Spent:
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        purpose = "auto_top_up"
        return Spent(
            await repository.sum_since(session, account_id, purpose, since=day),
            await repository.sum_since(session, account_id, purpose, since=day.replace(day=1)),
        )

    async def _collect_use(self) -> int:
        async with self.database.reading() as session:
            found = await account_settings.list_use_to_collect(session, self.clock.now(), limit=BATCH)
        for account_id in found:
            async with self.database.transaction() as session:
                await accounts.lock_account(session, account_id)
                look_at = await self._begin_collecting(session, account_id)
                await account_settings.save_settings(session, account_id, use_look_at=look_at)
        return len(found)

    async def _begin_collecting(self, session: AsyncSession, account_id: UUID) -> datetime | None:
        """Ask for what is owed once it is enough, or its period is over; when to look again without news.

        A closed path stops new use only: what was used is owed.
        """
        row = await account_settings.find_settings(session, account_id)
        if row is None or row.payment_method_id is None:
            return None
        under_way = await repository.find_under_way(session, account_id, "pay_per_use")
        if under_way is not None:
            # One that waits for its customer may be confirmed at any moment; what it becomes says when to look again.
            return self.clock.now() + LONGEST_WAIT if under_way.state == "open" else None
        plan = await use.find_newest_plan(session, account_id)
        terms = await catalogue.find_terms(session, *plan) if plan else None
        open_nano = await use.sum_open(session, account_id)
        amount = due_minor(open_nano=open_nano, carry_nano=await use.find_carry(session, account_id))
        if terms is None or amount < LEAST_COLLECTED_MINOR:
            return None
        policy = terms.plan.pay_per_use
        is_enough = policy is None or amount >= policy.collect_at_minor
        if not (is_enough or row.use_blocked or await self._is_over(session, account_id)):
            return None
        may_at = await self._retry_at(session, row)
        if may_at is not None and self.clock.now() < may_at:
            return may_at
        attempt_id = await begin_attempt(
            session,
            account_id,
            purpose="pay_per_use",
            terms=terms,
            amount_minor=amount,
            payment_method_id=row.payment_method_id,
            clock=self.clock,
        )
        if attempt_id is not None:
            await use.attach_open(session, account_id, attempt_id)
        return None

    async def _withdraw_overtaken(self) -> None:
        """What nobody is to confirm any more can be paid no more: use is asked for anew only then."""
        async with self.database.reading() as session:
            found = await repository.list_overtaken(session, now=self.clock.now(), limit=BATCH)
        for attempt in found:
            wait = min(LONGEST_WAIT, PATIENCE * 2 ** min(attempt.tries, 10))
            async with self.database.transaction() as session:
                now = self.clock.now()
                if not await repository.count_withdrawal(session, attempt.id, now=now, next_try_at=now + wait):
                    continue
            try:
                await self.stripe.cancel(str(attempt.payment_id), key=f"{attempt.id}-{attempt.tries}")
                intent = await self.stripe.get_intent(str(attempt.payment_id))
                async with self.database.transaction() as session:
                    await apply_attempt(session, intent, heard_at=attempt.created_at, now=self.clock.now())
            except DomainError as error:
                log.warning("billing.withdrawal_delayed", attempt_id=str(attempt.id), code=error.code)

    async def _is_over(self, session: AsyncSession, account_id: UUID) -> bool:
        """Whether some of what is owed belongs to a period that has ended."""
        subscription = await payments.find_current_subscription(session, account_id)
        if subscription is None or payments.has_ended(subscription):
            return True
        oldest = await use.find_oldest_open(session, account_id)
        return oldest is not None and oldest < hour_of(subscription.current_period_start)

    async def _retry_at(self, session: AsyncSession, row: Any) -> datetime | None:
        """Another way to pay is tried at once, the same one after its back-off."""
        latest = await repository.list_latest(session, row.account_id, "pay_per_use", limit=_HISTORY)
        if not latest or latest[0].payment_method_id != row.payment_method_id:
            return None
        return retry_at(_ended(latest))

    async def _try_due(self) -> int:
        async with self.database.reading() as session:
            due = await repository.list_due(session, self.clock.now(), limit=BATCH)
        for attempt in due:
            await self.try_attempt(attempt.id)
        return len(due)

    async def try_attempt(self, attempt_id: UUID) -> None:
        """One try, with the same id as every other one; an unknown outcome is tried again, never anew."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            attempt = await repository.find_attempt(session, attempt_id)
            if attempt is None:
                return
            wait = min(LONGEST_WAIT, PATIENCE * 2 ** min(attempt.tries, 10))
            if not await repository.count_try(session, attempt_id, now=now, next_try_at=now + wait):
                return
            attempt = await repository.find_attempt(session, attempt_id)
            assert attempt is not None
            customer = await accounts.find_customer(session, attempt.account_id)
        if customer is None:
            return
        try:
            intent_id = attempt.payment_id or await self._ask(attempt, customer)
            intent = await self.stripe.get_intent(intent_id)
            async with self.database.transaction() as session:
                await apply_attempt(session, intent, heard_at=attempt.created_at, now=self.clock.now())
        except (UnavailableError, FeeNotKnownError) as error:
            log.warning("billing.attempt_delayed", attempt_id=str(attempt_id), code=error.code)
        except (StripeRefusedError, StripeMissingError, CardDeclinedError) as error:
            async with self.database.transaction() as session:
                await give_up(session, attempt_id, reason=error.code, now=self.clock.now())
        except DomainError as error:
            # It stays open and is looked at again; the others must not wait for it.
            log.error("billing.attempt_contradicts", attempt_id=str(attempt_id), code=error.code)  # noqa: TRY400

    async def _ask(self, attempt: Any, customer: str) -> str:
        if attempt.tries > 1 and (found := await self.stripe.find_charge(attempt.id, customer=customer)):
            # An earlier try did get there; Stripe forgets its key after a day, but not what it made.
            return found
        attempt = await self._taxed(attempt, customer)
        try:
            return await self.stripe.charge(
                attempt.id,
                customer=customer,
                payment_method=attempt.payment_method_id,
                amount_minor=attempt.amount_minor + attempt.tax_minor,
                currency=attempt.currency,
                description="Top-up" if attempt.purpose == "auto_top_up" else "Use",
                tax_calculation=attempt.tax_calculation,
            )
        except CardDeclinedError as error:
            if error.payment_id is None:
                raise
            return error.payment_id

    async def _taxed(self, attempt: Any, customer: str) -> Any:
        """The attempt with its taxes, kept before anything is asked for: every try asks for the very same."""
        if not attempt.is_taxed or attempt.tax_calculation is not None:
            return attempt
        due = await due_on_top(
            self.taxes,
            attempt.id,
            customer=customer,
            payment_method=attempt.payment_method_id,
            amount_minor=attempt.amount_minor,
            currency=attempt.currency,
        )
        values = {"tax_calculation": due.id, "tax_minor": due.tax_minor} if due else {"is_taxed": False}
        async with self.database.transaction() as session:
            return await repository.keep_taxes(session, attempt.id, **values)

    async def watch(self) -> None:
        """The two alarms of top-ups: too many, and one that should have been and was not."""
        now = self.clock.now()
        async with self.database.reading() as session:
            often = await repository.count_often(
                session, "auto_top_up", since=now - timedelta(days=1), more_than=OFTEN_A_DAY
            )
            overdue = await account_settings.count_low_since(session, now - OVERDUE_AFTER)
        metrics.TOP_UPS_OFTEN.set(often)
        metrics.TOP_UPS_OVERDUE.set(overdue)


def rule_of(row: Any) -> TopUpRule:
    """The rule in a row that has one."""
    return TopUpRule(row.top_up_below_nano, row.top_up_amount_minor, row.top_up_day_minor, row.top_up_month_minor)


def _ended(latest: Sequence[Any]) -> list[tuple[AttemptState, datetime]]:
    """How the last attempts ended, newest first; an open one has not."""
    return [(one.state, one.ended_at) for one in latest if one.ended_at is not None]
