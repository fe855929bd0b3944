"""What a customer wants topped up by itself, and how it is going."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.amounts import NANO_PER_MINOR, money_text
from billing.domain.catalogue import TOP_UP, TopUpSpec
from billing.domain.collecting import TopUpRule
from billing.errors import AccountNotReadyError, AmountOutOfBoundsError, NoPaymentMethodError, OfferNotSoldError
from billing.repository import accounts, attempts, catalogue
from billing.repository import settings as repository
from billing.service.collecting import rule_of
from billing.service.paths import Paths
from kit.clock import Clock

_PURPOSE: Final = "auto_top_up"


@dataclass(frozen=True, slots=True)
class TopUpState:
    """The rule, what holds it up, and the last attempt; `waiting_id` is a payment that its customer may confirm."""

    rule: TopUpRule | None
    paused: str | None
    last_state: str | None
    last_amount_minor: int | None
    last_at: datetime | None
    waiting_id: str | None


@dataclass(frozen=True, slots=True)
class TopUps:
    """Each method is one transaction."""

    paths: Paths
    clock: Clock

    async def show(self, session: AsyncSession, account_id: UUID) -> TopUpState:
        row = await repository.find_settings(session, account_id)
        latest = await attempts.list_latest(session, account_id, _PURPOSE, limit=1)
        last = latest[0] if latest else None
        return TopUpState(
            rule_of(row) if row is not None and row.top_up_below_nano is not None else None,
            row.top_up_paused if row else None,
            last.state if last else None,
            last.amount_minor if last else None,
            last.created_at if last else None,
            last.payment_id if last and last.state == "needs_action" else None,
        )

    async def set_rule(self, session: AsyncSession, account_id: UUID, rule: TopUpRule) -> None:
        """Top up by itself from now on; needs a way to pay, and an open path."""
        if not await accounts.lock_account(session, account_id):
            raise AccountNotReadyError("The account is still being set up; try again.", retry_after_s=1)
        await self.paths.check_open(session, account_id, "auto_top_up")
        now = self.clock.now()
        found = await catalogue.find_holding(session, TOP_UP, now)
        if found is None or not found[1] or not isinstance(found[0].spec, TopUpSpec):
            raise OfferNotSoldError("There are no top-ups for sale.")
        _check(rule, found[0].spec)
        row = await repository.find_settings(session, account_id)
        if row is None or row.payment_method_id is None:
            raise NoPaymentMethodError('Set up a card first: POST /billing/checkout with mode "setup".')
        await repository.save_settings(
            session,
            account_id,
            top_up_below_nano=rule.below_nano,
            top_up_amount_minor=rule.amount_minor,
            top_up_day_minor=rule.day_minor,
            top_up_month_minor=rule.month_minor,
            top_up_paused=None,
            top_up_look_at=now,
            due_at=now,
        )

    async def drop_rule(self, session: AsyncSession, account_id: UUID) -> None:
        """No more; an attempt that is under way comes to its end."""
        await accounts.lock_account(session, account_id)
        nothing = dict.fromkeys(
            (
                "top_up_below_nano",
                "top_up_amount_minor",
                "top_up_day_minor",
                "top_up_month_minor",
                "top_up_paused",
                "top_up_look_at",
                "top_up_low_since",
            )
        )
        await repository.save_settings(session, account_id, **nothing, due_at=self.clock.now())

    async def resume(self, session: AsyncSession, account_id: UUID) -> None:
        """Go on after a pause."""
        await accounts.lock_account(session, account_id)
        await repository.save_settings(session, account_id, top_up_paused=None, due_at=self.clock.now())
        await repository.look_soon(session, account_id, self.clock.now())


async def look_soon(session: AsyncSession, account_id: UUID, *, now: datetime) -> None:
    """The ledger says that the account runs low."""
    await repository.look_soon(session, account_id, now)


def _check(rule: TopUpRule, spec: TopUpSpec) -> None:
    least, most = money_text(spec.least_minor), money_text(spec.most_minor)
    if not spec.least_minor <= rule.amount_minor <= spec.most_minor:
        raise AmountOutOfBoundsError(f"A top-up is between {least} and {most}.", field="amount")
    if rule.day_minor < rule.amount_minor:
        raise AmountOutOfBoundsError("A day's cap is not less than one top-up.", field="daily_cap")
    if rule.month_minor < rule.day_minor:
        raise AmountOutOfBoundsError("A month's cap is not less than a day's.", field="monthly_cap")
    if rule.below_nano > spec.most_minor * NANO_PER_MINOR:
        raise AmountOutOfBoundsError(f"The threshold is at most {most}.", field="below")
