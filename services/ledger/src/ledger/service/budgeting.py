"""What accounts, members, projects and API keys may spend, as auth says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.auth import AccountChanged, ApiKeyChanged, MemberChanged, ProjectChanged
from contracts.money import MAX_AMOUNT
from contracts.terms import Budget, BudgetScope
from kit.clock import Clock
from ledger.domain.budgets import BudgetAccount, window_start
from ledger.errors import AmountError
from ledger.repository import budgets as repository
from ledger.service.catalogue import Catalogue
from ledger.service.saving import lock_book, save

GONE: Final = frozenset({"removed", "archived", "revoked"})


@dataclass(frozen=True, slots=True)
class Budgeting:
    """Budgets by owner; an older version of auth's row changes nothing."""

    catalogue: Catalogue
    clock: Clock

    async def of_account(self, session: AsyncSession, event: AccountChanged) -> None:
        await self._set(session, event.account_id, "account", event.account_id, event.version, event.budgets)

    async def of_member(self, session: AsyncSession, event: MemberChanged) -> None:
        budgets = () if event.state in GONE else event.budgets
        await self._set(session, event.account_id, "member", event.user_id, event.version, budgets)

    async def of_project(self, session: AsyncSession, event: ProjectChanged) -> None:
        budgets = () if event.state in GONE else event.budgets
        await self._set(session, event.account_id, "project", event.project_id, event.version, budgets)

    async def of_api_key(self, session: AsyncSession, event: ApiKeyChanged) -> None:
        budgets = () if event.state in GONE else event.budgets
        await self._set(session, event.account_id, "api_key", event.api_key_id, event.version, budgets)

    async def _set(  # noqa: PLR0917  # the four events' common part, called above only
        self,
        session: AsyncSession,
        account_id: UUID,
        scope: BudgetScope,
        scope_id: UUID,
        version: int,
        budgets: Sequence[Budget],
    ) -> None:
        # Most owners never have a budget: they cost one look and no lock.
        known = await repository.find_owner_version(session, account_id, scope, scope_id)
        if known is None and not budgets:
            return
        if any(not 0 <= budget.limit_nano <= MAX_AMOUNT for budget in budgets):
            raise AmountError("a budget is neither negative nor beyond all bounds", field="budgets")
        now = self.clock.now()
        book = await lock_book(session, account_id, now=now, catalogue=self.catalogue)
        known = await repository.find_owner_version(session, account_id, scope, scope_id)
        if known is not None and version <= known:
            return
        mine = [one for one in book.budgets if (one.scope, one.scope_id) == (scope, scope_id)]
        standing = {one.window: one for one in mine}
        wanted: list[BudgetAccount] = []
        for budget in budgets:
            kept = standing.get(budget.window)
            if kept is None:
                start = window_start(budget.window, now)
                spent = await repository.sum_spent(session, account_id, scope, scope_id, since=start)
                kept = BudgetAccount(account_id, scope, scope_id, budget.window, 0, spent, start)
            kept.limit_nano = budget.limit_nano
            wanted.append(kept)
        book.budgets = [one for one in book.budgets if one not in mine] + wanted
        await repository.replace_budgets(session, account_id, scope, scope_id, budgets=wanted)
        await repository.upsert_owner(session, account_id, scope, scope_id, version=version)
        await save(session, [book], catalogue=self.catalogue, now=now)
