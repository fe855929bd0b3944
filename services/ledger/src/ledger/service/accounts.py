"""Accounts come, change, and change plans."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.auth import AccountActivated, AccountChanged, AccountCreated
from contracts.billing import PlanPublished, SubscriptionChanged
from kit import parking
from kit.clock import Clock
from kit.ids import uuid7
from ledger.domain.book import AccountBook
from ledger.domain.grants import Grant, GrantSource
from ledger.domain.transfers import TRIAL, TransferKind
from ledger.repository import accounts as repository
from ledger.repository.grants import has_grant
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
        book = await lock_book(session, event.account_id, now=now)
        await save(session, [book], catalogue=self.catalogue, now=now)
        await parking.release(session, account_referent(event.account_id))

    async def activate(self, session: AsyncSession, event: AccountActivated) -> None:
        """Give the default plan and what it allows once."""
        now = self.clock.now()
        book = await lock_book(session, event.account_id, now=now)
        if book.account.activated_at is not None:
            return
        plan = await default_plan(session, now=now)
        book.account.activated_at = now
        if book.account.plan is None:
            book.account.plan_id, book.account.plan_version = plan.plan_id, plan.version
        await self._give_allowances(session, book, plan)
        await repository.update_standing(session, book.account)
        await save(session, [book], catalogue=self.catalogue, now=now)

    async def change_state(self, session: AsyncSession, event: AccountChanged) -> None:
        """Follow auth's row; an older version changes nothing."""
        now = self.clock.now()
        book = await lock_book(session, event.account_id, now=now)
        if event.version <= book.account.auth_version:
            return
        book.account.auth_version, book.account.state = event.version, event.state
        await repository.update_standing(session, book.account)
        await save(session, [book], catalogue=self.catalogue, now=now)

    async def change_subscription(self, session: AsyncSession, event: SubscriptionChanged) -> None:
        """The subscription's plan holds while it is active, the default plan after it."""
        now = self.clock.now()
        await self.catalogue.plan(session, event.plan_id, event.plan_version)
        book = await lock_book(session, event.account_id, now=now)
        if not await upsert_subscription(session, event):
            return
        await self._choose_plan(session, book)
        await repository.update_standing(session, book.account)
        await save(session, [book], catalogue=self.catalogue, now=now)

    async def _choose_plan(self, session: AsyncSession, book: AccountBook) -> None:
        account = book.account
        active = await find_active_subscription(session, account.id)
        if active is not None:
            account.subscription_id = active.subscription_id
            account.plan_id, account.plan_version = active.plan_id, active.plan_version
        elif account.subscription_id is not None:
            plan = await default_plan(session, now=book.now)
            account.subscription_id = None
            account.plan_id, account.plan_version = plan.plan_id, plan.version

    async def _give_allowances(self, session: AsyncSession, book: AccountBook, plan: PlanPublished) -> None:
        for allowance in plan.allowances:
            if allowance.valid_days is None or allowance.amount <= 0:
                continue
            grant = Grant.of_allowance(
                allowance,
                grant_id=uuid7(self.clock),
                account_id=book.account.id,
                source=GrantSource.TRIAL,
                now=book.now,
            )
            if not await has_grant(session, grant.account_id, rule=grant.rule, period=grant.period):
                book.open_grant(grant, source=TRIAL, kind=TransferKind.TOPUP)
