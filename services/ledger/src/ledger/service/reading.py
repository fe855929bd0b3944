"""Balances, transactions, calls and their explanation; nothing here writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.gateway import Counts
from contracts.money import Unit
from kit.clock import Clock
from ledger.domain.account import Account
from ledger.domain.grants import Grant, burn_order
from ledger.domain.pricing import NOTHING
from ledger.domain.requests import RequestFilter
from ledger.domain.snapshot import snapshot
from ledger.errors import UnknownAccountError, UnknownRequestError
from ledger.repository import reading as repository
from ledger.repository.accounts import find_account
from ledger.repository.grants import list_grants
from ledger.service.catalogue import Catalogue
from rating import Cost, Iteration, TokenCounts, Usage, cost_of


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's page at an instant."""

    account: Account
    grants: list[Grant]
    as_of: datetime

    @property
    def available_nano(self) -> int:
        valid = (grant for grant in self.grants if grant.unit is Unit.CREDIT and grant.valid_at(self.as_of))
        return sum(grant.remaining for grant in valid)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A call, its exact cost by lines, and the transfers that it caused."""

    row: Any
    cost: Cost | None
    transfers: Sequence[Any]
    sources: dict[UUID, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """What callers may look at."""

    catalogue: Catalogue
    clock: Clock

    async def balance(self, session: AsyncSession, account_id: UUID) -> Balance:
        """What is left, of which grants, in the order in which they burn."""
        now = self.clock.now()
        account = await find_account(session, account_id)
        if account is None:
            raise UnknownAccountError("There is no such account.")
        grants = (await list_grants(session, [account_id], alive_at=now))[account_id]
        return Balance(account, sorted(grants, key=burn_order), now)

    async def snapshot(self, session: AsyncSession, account_id: UUID, *, calls: Sequence[UUID]) -> dict[str, Any]:
        """The admission state now, naming those of `calls` that are booked; the version stays."""
        balance = await self.balance(session, account_id)
        book = await self.catalogue.book_in_force(session, now=balance.as_of)
        terms = await self.catalogue.terms(session, balance.account, book=book)
        applied = await repository.list_charged(session, account_id, calls) if calls else []
        return snapshot(balance.account, balance.grants, terms=terms, now=balance.as_of, applied=applied)

    async def transactions(
        self, session: AsyncSession, account_id: UUID, *, before: int | None, limit: int
    ) -> Sequence[Any]:
        return await repository.list_transfers(session, account_id, before=before, limit=limit)

    async def requests(
        self, session: AsyncSession, wanted: RequestFilter, *, before: UUID | None, limit: int
    ) -> Sequence[Any]:
        return await repository.list_requests(session, wanted, before=before, limit=limit)

    async def explain(
        self, session: AsyncSession, account_id: UUID, call_id: UUID, *, user_id: UUID | None
    ) -> Explanation:
        """Which call, which counts, which prices, which grants."""
        row = await repository.find_request(session, account_id, call_id)
        if row is None or (user_id is not None and row.user_id != user_id):
            raise UnknownRequestError("There is no such request.")
        transfers = await repository.list_transfers_between(session, account_id, first=row.first_seq, last=row.last_seq)
        grant_ids = [transfer.grant_id for transfer in transfers if transfer.grant_id]
        sources = await repository.list_grant_sources(session, grant_ids)
        return Explanation(row, await self._cost(session, row), transfers, sources)

    async def _cost(self, session: AsyncSession, row: Any) -> Cost | None:
        book = (await self.catalogue.books(session)).get(row.price_book_version)
        if book is None or (counts_of(row) == NOTHING and not row.iterations):
            return None
        return cost_of(book, _usage(row), model=row.charged_model, at=row.admitted_at)


def counts_of(row: Any) -> Counts:
    return Counts(**{name: getattr(row, name) for name in Counts.model_fields})


def _usage(row: Any) -> Usage:
    return Usage(
        counts=TokenCounts(**counts_of(row).model_dump()),
        iterations=tuple(
            Iteration(inner["model"], TokenCounts(**Counts.model_validate(inner["counts"]).model_dump()))
            for inner in row.iterations or ()
        ),
        service_tier=row.service_tier,
        inference_geo=row.inference_geo,
        speed=row.speed,
    )
