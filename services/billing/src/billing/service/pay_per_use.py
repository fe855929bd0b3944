"""Paying per use: a subscription of our own, whose use is collected when it is enough or the period is over."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.calendar import span_at
from billing.errors import (
    AccountNotReadyError,
    AlreadySubscribedError,
    NoPaymentMethodError,
    NotForThisOfferError,
    UnknownOfferError,
)
from billing.repository import accounts, catalogue, payments, use
from billing.repository import settings as account_settings
from billing.service.paths import Paths
from billing.service.subscriptions import BATCH, save_local, state_of
from contracts.ledger import OverageAccrued
from kit import idempotency
from kit.clock import Clock
from kit.errors import MissingReferentError
from kit.ids import uuid7

ROUTE: Final = "POST /billing/pay-per-use"
LAST_HOUR: Final = timedelta(hours=2)
"""By then the ledger has told of a period's last hour."""


@dataclass(frozen=True, slots=True)
class Wish:
    """An account that wants to pay per use."""

    account_id: UUID
    plan_id: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class PayPerUse:
    """Each method is one transaction."""

    paths: Paths
    clock: Clock

    async def start(self, session: AsyncSession, wish: Wish) -> None:
        """From now on what the account uses is collected afterwards; its way to pay is on file already."""
        attempt = await idempotency.begin(
            session,
            scope=str(wish.account_id),
            route=ROUTE,
            key=wish.idempotency_key,
            body={"plan": wish.plan_id},
        )
        if attempt.answer is not None:
            return
        if not await accounts.lock_account(session, wish.account_id):
            raise AccountNotReadyError("The account is still being set up; try again.", retry_after_s=1)
        await self.paths.check_open(session, wish.account_id, "pay_per_use")
        now = self.clock.now()
        found = await catalogue.find_holding(session, wish.plan_id, now)
        if found is None:
            raise UnknownOfferError("There is no such offer; see GET /billing/offers.", field="plan")
        terms, on_sale = found
        if not on_sale or not terms.is_plan or terms.plan.pay_per_use is None:
            raise NotForThisOfferError("This offer is not one that is paid per use afterwards.", field="plan")
        await self._check_ready(session, wish.account_id)
        await self._begin(session, wish.account_id, plan=(terms.offer_id, terms.version), now=now)
        await idempotency.finish(session, attempt, status=201, answer={"plan": terms.offer_id})

    async def _check_ready(self, session: AsyncSession, account_id: UUID) -> None:
        current = await payments.find_current_subscription(session, account_id)
        if current is not None and not payments.has_ended(current):
            raise AlreadySubscribedError("This account has a subscription already.", field="plan")
        row = await account_settings.find_settings(session, account_id)
        if row is None or row.payment_method_id is None:
            raise NoPaymentMethodError('Set up a card first: POST /billing/checkout with mode "setup".')

    async def _begin(self, session: AsyncSession, account_id: UUID, *, plan: tuple[str, int], now: datetime) -> None:
        span = span_at(now, now)
        subscription_id = f"use_{uuid7(self.clock).hex}"
        await save_local(
            session,
            subscription_id,
            known=None,
            now=now,
            account_id=account_id,
            plan_id=plan[0],
            plan_version=plan[1],
            quantity=1,
            pending_plan_id=None,
            pending_plan_version=None,
            pending_quantity=None,
            currency="usd",
            status="active",
            current_period_start=span.starts_at,
            current_period_end=span.ends_at,
            cancel_at_period_end=False,
            trial_end=None,
            past_due_since=None,
            is_local=True,
            anchor_at=now,
        )

    async def stop(self, session: AsyncSession, row: Any, *, at_period_end: bool) -> None:
        """End it; what was used until then is still collected."""
        now = self.clock.now()
        changes = {"cancel_at_period_end": True} if at_period_end else {"status": "canceled"}
        await save_local(session, row.id, known=row, now=now, **{**state_of(row), **changes})
        if not at_period_end:
            await account_settings.save_settings(session, row.account_id, use_look_at=now + LAST_HOUR)

    async def resume(self, session: AsyncSession, row: Any) -> None:
        values = {**state_of(row), "cancel_at_period_end": False}
        await save_local(session, row.id, known=row, now=self.clock.now(), **values)

    async def roll(self, session: AsyncSession) -> int:
        """Periods that are over are followed by the next, or by none; how many there were."""
        now = self.clock.now()
        over = await payments.list_local_over(session, now, limit=BATCH)
        for subscription_id, _ in sorted(over, key=lambda pair: pair[1]):
            row = await payments.lock_subscription(session, subscription_id)
            if row is not None and row.current_period_end <= now and not payments.has_ended(row):
                await self._roll_one(session, row, now=now)
        return len(over)

    async def _roll_one(self, session: AsyncSession, row: Any, *, now: datetime) -> None:
        changes: dict[str, Any] = {"status": "canceled"}
        if not row.cancel_at_period_end:
            span = span_at(row.anchor_at, now)
            changes = {"current_period_start": span.starts_at, "current_period_end": span.ends_at}
        await save_local(session, row.id, known=row, now=now, **{**state_of(row), **changes})
        await account_settings.save_settings(session, row.account_id, use_look_at=now + LAST_HOUR)


async def owe_use(session: AsyncSession, event: OverageAccrued, *, now: datetime) -> None:
    """Keep an hour of use that is collected by payment; one for each row of the ledger's."""
    if event.collect != "payment" or event.amount_nano <= 0:
        return
    if await catalogue.find_terms(session, event.plan_id, event.plan_version) is None:
        raise MissingReferentError(f"plan:{event.plan_id}:{event.plan_version}")
    await accounts.lock_account(session, event.account_id)
    is_new = await use.insert_use(
        session,
        account_id=event.account_id,
        plan_id=event.plan_id,
        plan_version=event.plan_version,
        hour=event.hour,
        sequence=event.sequence,
        amount_nano=event.amount_nano,
    )
    if is_new:
        await account_settings.save_settings(session, event.account_id, use_look_at=now)
