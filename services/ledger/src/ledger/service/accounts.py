"""Accounts come, change, and change plans."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.auth import AccountActivated, AccountChanged, AccountCreated
from contracts.billing import AccountSettingsChanged, PlanPublished, SubscriptionChanged
from contracts.money import MAX_AMOUNT
from kit import parking
from kit.clock import Clock
from kit.ids import uuid7
from ledger.domain.book import AccountBook
from ledger.domain.grants import Grant, GrantSource
from ledger.domain.plans import once_allowances
from ledger.domain.renewal import enter_plan, follow_subscription, leave_plan, replace_paid_plan
from ledger.domain.thresholds import Levels
from ledger.domain.transfers import TRIAL, TransferKind
from ledger.errors import AmountError
from ledger.repository import accounts as repository
from ledger.repository.grants import has_grant, list_ending_after
from ledger.repository.money_in import find_active_subscription, upsert_subscription
from ledger.service.catalogue import Catalogue, default_plan
from ledger.service.saving import account_referent, lock_book, save


@dataclass(frozen=True, slots=True)
class Accounts:
    """What happens to accounts as a whole."""

    catalogue: Catalogue
    clock: Clock

    async def create(self, session: AsyncSession, event: AccountCreated) -> None:
        """Open an account's page; it may not spend before something is granted."""
        now = self.clock.now()
        if not await repository.insert_account(session, event.account_id, now=now):
            return
        book = await self._lock(session, event.account_id, now=now)
        await save(session, [book], catalogue=self.catalogue, now=now)
        await parking.release(session, account_referent(event.account_id))

    async def activate(self, session: AsyncSession, event: AccountActivated) -> None:
        """Give the default plan and what it allows: once, and for the first periods; a team gets no trial."""
        now = self.clock.now()
        book = await self._lock(session, event.account_id, now=now)
        if book.account.activated_at is not None:
            return
        plan = await default_plan(session, now=now)
        book.account.activated_at = now
        if book.account.plan is None:
            enter_plan(book, plan)
        if event.trial:
            await self._give_allowances(session, book, plan)
        await self._save_standing(session, book)

    async def change_state(self, session: AsyncSession, event: AccountChanged) -> None:
        """Follow auth's row; an older version changes nothing."""
        now = self.clock.now()
        book = await self._lock(session, event.account_id, now=now)
        if event.version <= book.account.auth_version:
            return
        book.account.auth_version, book.account.state = event.version, event.state
        await self._save_standing(session, book)

    async def change_settings(self, session: AsyncSession, event: AccountSettingsChanged) -> None:
        """What may be billed later, and whether anything can be; an older version changes nothing."""
        ceiling_nano = event.overage_ceiling_nano
        if ceiling_nano is not None and not 0 <= ceiling_nano <= MAX_AMOUNT:
            raise AmountError("a ceiling is neither negative nor beyond all bounds", field="overage_ceiling_nano")
        book = await self._lock(session, event.account_id, now=self.clock.now())
        account = book.account
        if event.version <= account.settings_version:
            return
        account.settings_version = event.version
        account.overage_ceiling_nano, account.has_payment_method = ceiling_nano, event.has_payment_method
        account.payment_problem = event.payment_problem.model_dump_json() if event.payment_problem else None
        await self._save_standing(session, book)

    async def set_markup(self, session: AsyncSession, account_id: UUID, markup_bps: int | None) -> None:
        """Agree a markup with one customer, for every model; None goes back to the plan's or the price book's."""
        book = await self._lock(session, account_id, now=self.clock.now())
        book.account.markup_bps = markup_bps
        await self._save_standing(session, book)

    async def set_levels(self, session: AsyncSession, account_id: UUID, levels: Levels | None) -> None:
        """Which thresholds a customer wants to hear of; None: the usual ones."""
        book = await self._lock(session, account_id, now=self.clock.now())
        book.account.levels = levels.encoded() if levels else None
        await self._save_standing(session, book)

    async def change_subscription(self, session: AsyncSession, event: SubscriptionChanged) -> None:
        """The subscription's plan holds while it is active, the default plan after it."""
        now = self.clock.now()
        await self.catalogue.plan(session, event.plan_id, event.plan_version)
        book = await self._lock(session, event.account_id, now=now)
        if not await upsert_subscription(session, event):
            return
        await self._choose_plan(session, book)
        await self._save_standing(session, book)

    async def _choose_plan(self, session: AsyncSession, book: AccountBook) -> None:
        account = book.account
        active = await find_active_subscription(session, account.id)
        # What is used up counts as given, and a closing period states it.
        book.add(await list_ending_after(session, account.id, after=account.period_start or book.now))
        old = await self.catalogue.plan(session, *account.plan) if account.plan else None
        if active is not None:
            await self._subscribe(session, book, active, old=old)
        elif account.subscription_id is not None:
            account.subscription_id = None
            known = {(grant.rule, grant.period) for grant in book.grants if not grant.is_withdrawn}
            enter_plan(book, await default_plan(session, now=book.now), known=known)

    async def _subscribe(
        self, session: AsyncSession, book: AccountBook, active: Any, *, old: PlanPublished | None
    ) -> None:
        account = book.account
        plan = await self.catalogue.plan(session, active.plan_id, active.plan_version)
        if old is not None and account.plan != (plan.plan_id, plan.version):
            leave_plan(book, old)
            if account.subscription_id == active.subscription_id and old.plan_id != plan.plan_id:
                replace_paid_plan(book, old)
        account.subscription_id = active.subscription_id
        follow_subscription(book, plan, starts_at=active.period_start, ends_at=active.period_end)

    async def _lock(self, session: AsyncSession, account_id: UUID, *, now: datetime) -> AccountBook:
        return await lock_book(session, account_id, now=now, catalogue=self.catalogue)

    async def _save_standing(self, session: AsyncSession, book: AccountBook) -> None:
        await repository.update_standing(session, book.account)
        await save(session, [book], catalogue=self.catalogue, now=book.now)

    async def _give_allowances(self, session: AsyncSession, book: AccountBook, plan: PlanPublished) -> None:
        for allowance in once_allowances(plan):
            grant = Grant.of_allowance(
                allowance,
                grant_id=uuid7(self.clock),
                account_id=book.account.id,
                source=GrantSource.TRIAL,
                now=book.now,
            )
            if not await has_grant(session, grant.account_id, rule=grant.rule, period=grant.period):
                book.open_grant(grant, source=TRIAL, kind=TransferKind.TOPUP)
