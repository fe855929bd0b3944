"""Operators freeze accounts and thaw them, with a reason; gateways follow the next snapshot."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.errors import MissingReferentError
from kit.ids import uuid7
from ledger.domain.book import AccountBook
from ledger.errors import HoldStandsError, UnknownAccountError
from ledger.repository.accounts import update_standing
from ledger.repository.holds import insert_hold
from ledger.service.catalogue import Catalogue
from ledger.service.saving import lock_book, save

Action = Literal["freeze", "thaw"]


@dataclass(frozen=True, slots=True)
class Freezing:
    """A hold stands beside auth's state, so that neither undoes the other."""

    catalogue: Catalogue
    clock: Clock

    async def set_frozen(
        self, session: AsyncSession, account_id: UUID, *, frozen: bool, reason: str, actor: str
    ) -> int:
        """Freeze or thaw."""
        return await self._change(session, account_id, "freeze" if frozen else "thaw", reason=reason, actor=actor)

    async def freeze(self, session: AsyncSession, account_id: UUID, *, reason: str, actor: str) -> int:
        """Refuse all further calls of the account; the version of the snapshot that says so."""
        return await self._change(session, account_id, "freeze", reason=reason, actor=actor)

    async def thaw(self, session: AsyncSession, account_id: UUID, *, reason: str, actor: str) -> int:
        """Let an account go on that an operator froze, as far as auth's state lets it."""
        return await self._change(session, account_id, "thaw", reason=reason, actor=actor)

    async def _change(self, session: AsyncSession, account_id: UUID, action: Action, *, reason: str, actor: str) -> int:
        book = await self._locked(session, account_id)
        account = book.account
        if account.frozen == (action == "freeze"):
            raise HoldStandsError("The account is frozen already." if account.frozen else "No operator froze it.")
        account.frozen = action == "freeze"
        await insert_hold(
            session,
            id=uuid7(self.clock),
            account_id=account_id,
            action=action,
            reason=reason,
            actor=actor,
            created_at=book.now,
        )
        await update_standing(session, account)
        await save(session, [book], catalogue=self.catalogue, now=book.now)
        return account.version

    async def _locked(self, session: AsyncSession, account_id: UUID) -> AccountBook:
        try:
            return await lock_book(session, account_id, now=self.clock.now())
        except MissingReferentError:
            raise UnknownAccountError("There is no such account.", field="account_id") from None
