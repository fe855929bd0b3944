"""What an account may owe: from its settings, its ways to pay and the open paths, told to the ledger."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.dunning import may_bill_overage
from billing.domain.paths import OpenPaths
from billing.domain.payment_methods import Wallet
from billing.repository import accounts, attempts, catalogue, payments, use
from billing.repository import settings as repository
from billing.service.paths import Paths
from billing.service.problems import find_problem
from contracts.billing import AccountSettingsChanged
from kit import outbox
from kit.ids import fact_id

BATCH = 100
_USE = "pay_per_use"


async def keep_wallet(session: AsyncSession, account_id: UUID, wallet: Wallet, *, now: datetime) -> None:
    """Remember which way to pay is charged; another one is tried for what the last one did not pay."""
    known = await repository.find_settings(session, account_id)
    if known is not None and known.payment_method_id == wallet.charged_id:
        return
    changed: dict[str, Any] = {"payment_method_id": wallet.charged_id, "due_at": now, "use_look_at": now}
    if known is not None and known.top_up_paused and wallet.charged_id is not None:
        changed |= {"top_up_paused": None, "top_up_look_at": now}
    await repository.save_settings(session, account_id, **changed)


async def set_ceiling(session: AsyncSession, account_id: UUID, ceiling_nano: int | None, *, now: datetime) -> None:
    """The most that the account wants billed later in a period; None: as much again as its plan costs."""
    await accounts.lock_account(session, account_id)
    await repository.save_settings(session, account_id, overage_ceiling_nano=ceiling_nano, due_at=now)


@dataclass(frozen=True, slots=True)
class Standing:
    """Tells the ledger what has changed."""

    paths: Paths

    async def tell_due(self, session: AsyncSession, *, now: datetime) -> int:
        """State anew what may have changed; how many accounts were looked at."""
        due = await repository.list_due(session, now, limit=BATCH)
        for account_id in sorted(due):
            await self.tell(session, account_id, now=now)
        return len(due)

    async def tell(self, session: AsyncSession, account_id: UUID, *, now: datetime) -> None:
        if not await accounts.lock_account(session, account_id):
            # Flags may be set ahead of an account; they are looked up when it is there.
            await repository.save_settings(session, account_id, due_at=None)
            return
        row = await repository.find_settings(session, account_id)
        assert row is not None
        open_paths = await self.paths.of_account(session, account_id)
        state: dict[str, Any] = {
            "overage_ceiling_nano": await _ceiling(session, row, open_paths),
            "auto_top_up_below_nano": row.top_up_below_nano if open_paths.allows("auto_top_up") else None,
            "has_payment_method": row.payment_method_id is not None,
            "open_paths": open_paths.names(),
        }
        problem = await find_problem(session, account_id, row)
        if problem is not None:
            state["payment_problem"] = problem.model_dump()
        told = orjson.dumps(state, option=orjson.OPT_SORT_KEYS).decode()
        if told == row.told:
            await repository.save_settings(session, account_id, due_at=None)
            return
        version = row.version + 1
        await repository.save_settings(session, account_id, version=version, told=told, due_at=None)
        changed = AccountSettingsChanged.model_validate(
            {
                **state,
                "id": fact_id(AccountSettingsChanged.type, account_id, version),
                "time": now,
                "account_id": account_id,
                "version": version,
            }
        )
        await outbox.add(session, changed)


async def _ceiling(session: AsyncSession, row: Any, open_paths: OpenPaths) -> int | None:
    """The most that may be billed later in the running period; None leaves it to the plan."""
    subscription = await payments.find_current_subscription(session, row.account_id)
    if subscription is None or payments.has_ended(subscription):
        return _customers_own(row, open_paths)
    terms = await catalogue.find_terms(session, subscription.plan_id, subscription.plan_version)
    if terms is None:
        return 0
    if terms.plan.pay_per_use is not None:
        if row.use_blocked or row.payment_method_id is None or not open_paths.allows("pay_per_use"):
            return 0
        # The ledger counts a period's use; what of it is collected makes room again.
        collected = await _collected(session, row.account_id, since=subscription.current_period_start)
        return terms.plan.pay_per_use.most_nano + collected
    if not may_bill_overage(subscription.status, terms.plan.grace):
        return 0
    return _customers_own(row, open_paths)


def _customers_own(row: Any, open_paths: OpenPaths) -> int | None:
    ceiling: int | None = row.overage_ceiling_nano
    return ceiling if open_paths.allows("overage") else 0


async def _collected(session: AsyncSession, account_id: UUID, *, since: datetime) -> int:
    latest = await attempts.list_latest(session, account_id, _USE, limit=BATCH)
    paid = [attempt.id for attempt in latest if attempt.state == "succeeded" and attempt.created_at >= since]
    return await use.sum_collected(session, account_id, since=since, attempts=paid)
