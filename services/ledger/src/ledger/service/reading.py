"""Balances, transactions, calls and their explanation; nothing here writes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.gateway import Counts, Operation
from contracts.money import Unit
from kit.clock import Clock
from ledger.domain.account import Account
from ledger.domain.grants import Grant, burn_order
from ledger.domain.onboarding import Stage, stage_of
from ledger.domain.plans import PlanRates
from ledger.domain.pricing import DUPLICATE, NOTHING, ORPHANED
from ledger.domain.requests import RequestFilter, TransferFilter
from ledger.domain.usage import UsageQuery
from ledger.errors import UnknownAccountError, UnknownRequestError
from ledger.repository import reading as repository
from ledger.repository.accounts import find_account
from ledger.repository.archives import find_archives
from ledger.repository.grants import list_grants
from ledger.repository.usage import list_usage
from ledger.service.catalogue import Catalogue
from ledger.service.saving import state_of
from ledger.service.standing import standing_at
from rating import Cost, Iteration, PriceBook, TokenCounts, Usage, cost_of, operation_charge


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's page at an instant; `is_past` when it was asked for one, and then only amounts are as they were."""

    account: Account
    grants: list[Grant]
    as_of: datetime
    debt_nano: int
    overage_nano: int
    is_past: bool = False

    @property
    def available_nano(self) -> int:
        return self.available(Unit.CREDIT)

    def available(self, unit: Unit) -> int:
        """What may be used of a unit; expiry is decided by time."""
        valid = (grant for grant in self.grants if grant.unit is unit and grant.valid_at(self.as_of))
        return sum(grant.remaining for grant in valid)


class Stood(NamedTuple):
    """Where an account stands, and with which plan."""

    stage: Stage
    plan_id: str | None
    plan_version: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A call, its exact cost by lines, the transfers that it caused, and what was corrected later.

    `archive` says where its detail went when it is not here any more.
    """

    row: Any
    cost: Cost | None
    transfers: Sequence[Any]
    sources: dict[UUID, str]
    weights: tuple[int, ...] | None
    corrections: Sequence[Any] = ()
    archive: Any | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What callers may look at."""

    catalogue: Catalogue
    clock: Clock

    async def balance(self, session: AsyncSession, account_id: UUID) -> Balance:
        """What is left, of which grants, in the order in which they burn."""
        now = self.clock.now()
        account = await self._account(session, account_id)
        grants = (await list_grants(session, [account_id], alive_at=now))[account_id]
        accrued = account.period_overage_nano if account.period_end is None or now < account.period_end else 0
        return Balance(account, sorted(grants, key=burn_order), now, account.debt_nano, accrued)

    async def balance_at(self, session: AsyncSession, account_id: UUID, at: datetime) -> Balance:
        """What was left at an instant, by the rows that count then (money.md 21)."""
        account = await self._account(session, account_id)
        standing = await standing_at(session, account_id, at)
        grants = [
            replace(grant, remaining=standing.position.left_of(grant.id))
            for grant in standing.grants
            if not grant.expired_at(at)
        ]
        debt_nano, overage_nano = (
            standing.position.debt_nano(account_id),
            standing.position.receivable_nano(account_id),
        )
        return Balance(account, sorted(grants, key=burn_order), at, debt_nano, overage_nano, is_past=True)

    async def stage(self, session: AsyncSession, account_id: UUID) -> Stood:
        """Where the account stands on its way to being a customer."""
        now = self.clock.now()
        account = await self._account(session, account_id)
        grants = await repository.list_given(session, account_id)
        plan = await self.catalogue.plan(session, *account.plan) if account.plan else None
        room = plan is not None and plan.terms.overage.policy != "block"
        stage = stage_of(account, grants, has_overage_room=room, now=now)
        return Stood(stage, account.plan_id, account.plan_version)

    async def _account(self, session: AsyncSession, account_id: UUID) -> Account:
        account = await find_account(session, account_id)
        if account is None:
            raise UnknownAccountError("There is no such account.")
        return account

    async def snapshot(self, session: AsyncSession, account_id: UUID, *, calls: Sequence[UUID]) -> dict[str, Any]:
        """The admission state now, naming those of `calls` that are booked; the version stays."""
        balance = await self.balance(session, account_id)
        book = await self.catalogue.book_in_force(session, now=balance.as_of)
        applied = await repository.list_charged(session, account_id, calls) if calls else []
        return await state_of(
            session,
            balance.account,
            balance.grants,
            catalogue=self.catalogue,
            book=book,
            now=balance.as_of,
            applied=applied,
        )

    async def transactions(
        self, session: AsyncSession, wanted: TransferFilter, *, before: int | None, limit: int
    ) -> Sequence[Any]:
        return await repository.list_transfers(session, wanted, before=before, limit=limit)

    async def usage(
        self, session: AsyncSession, wanted: UsageQuery, *, after: Sequence[str] | None, limit: int
    ) -> Sequence[Any]:
        return await list_usage(session, wanted, after=after, limit=limit)

    async def requests(
        self, session: AsyncSession, wanted: RequestFilter, *, before: UUID | None, limit: int
    ) -> Sequence[Any]:
        return await repository.list_requests(session, wanted, before=before, limit=limit)

    async def explain(
        self, session: AsyncSession, account_id: UUID, call_id: UUID, *, user_id: UUID | None
    ) -> Explanation:
        """Which call, which counts, which prices, which grants; from its charge when its detail is archived."""
        row = await repository.find_request(session, account_id, call_id)
        if row is None or (user_id is not None and row.user_id != user_id):
            raise UnknownRequestError("There is no such request.")
        transfers = await repository.list_charge_transfers(session, row)
        corrections = await repository.list_corrections(session, account_id, call_id)
        grant_ids = [one.grant_id for one in (*transfers, *corrections) if one.grant_id]
        sources = await repository.list_grant_sources(session, grant_ids)
        cost = await self._cost(session, row) if row.gateway_instance is not None else None
        archives = await find_archives(session, call_id) if row.gateway_instance is None else []
        return Explanation(
            row, cost, transfers, sources, await self._weights(session, row), corrections, next(iter(archives), None)
        )

    async def _weights(self, session: AsyncSession, row: Any) -> tuple[int, ...] | None:
        """What each class of tokens counted, where the call was counted in plan tokens."""
        if not row.plan_tokens or row.plan_id is None:
            return None
        plan = await self.catalogue.plan(session, row.plan_id, row.plan_version)
        return PlanRates(plan).weights.of(row.model)

    async def _cost(self, session: AsyncSession, row: Any) -> Cost | None:
        book = (await self.catalogue.books(session)).get(row.price_book_version)
        if book is None:
            return None
        if row.operation is not None:
            return _operation_cost(book, row)
        if counts_of(row) == NOTHING and not row.iterations:
            return None
        return cost_of(book, _usage(row), model=row.model, at=row.admitted_at)


def _operation_cost(book: PriceBook, row: Any) -> Cost | None:
    operation = Operation.model_validate({name: row.operation[name] for name in ("name", "quantity", "unit")})
    if row.outcome in {ORPHANED, DUPLICATE} or operation.name not in book.operations:
        return None
    return Cost.of(operation_charge(book, operation.name, operation.quantity, 0).lines)


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
