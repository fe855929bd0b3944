"""What tests about paying share: a plan that bills its overage, an account that is subscribed to it, what moved."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from factories import CREDIT, Factory
from harness import Ledger

from contracts.billing import AccountSettingsChanged, Allowance
from contracts.money import Unit
from contracts.terms import OverageTerms, Terms
from ledger.service.renewing import Renewal, Renewing

NewAccount = Callable[[], Awaitable[UUID]]
PER_1K = 20_000_000  # $0.02


async def keep_house(ledger: Ledger) -> None:
    await Renewal(ledger.database, Renewing(ledger.catalogue, ledger.clock), ledger.clock).once()


def billed(make: Factory, plan_id: str, **more: Any) -> Any:
    """The seeds' Pro plan, with a small allowance."""
    overage = OverageTerms(policy="bill", nano_per_1k_tokens=PER_1K, collect="meter")
    values = {
        "default": False,
        "renewal": "subscription",
        "interval": "month",
        "price_minor": 1_000,
        "terms": Terms(unit=Unit.TOKEN, overage=overage),
        "allowances": (Allowance(rule="monthly", unit=Unit.TOKEN, amount=10_000),),
    }
    return make.plan(plan_id, **{**values, **more})


async def subscribed(
    ledger: Ledger, make: Factory, account: NewAccount, plan: Any, *, grants: int = 10_000, unit: Unit = Unit.TOKEN
) -> UUID:
    """An account on the plan, with the period's grant and no trial credits left."""
    account_id = await account()
    await ledger.adjust(account_id, -5 * CREDIT)
    now = make.clock.now()
    await ledger.deliver(plan)
    await ledger.deliver(
        make.subscription(account_id, version=1, status="active", plan_id=plan.plan_id),
        make.settled(
            account_id,
            grants,
            kind="subscription",
            plan_id=plan.plan_id,
            plan_version=1,
            grant_unit=unit,
            valid_days=None,
            period_start=now,
            period_end=now + timedelta(days=30),
        ),
    )
    return account_id


def settings(make: Factory, account_id: UUID, *, version: int = 1, **more: Any) -> AccountSettingsChanged:
    return AccountSettingsChanged(id=uuid4(), time=make.clock.now(), account_id=account_id, version=version, **more)


async def charge_of(ledger: Ledger, call: Any) -> Any:
    (row,) = await ledger.rows("SELECT * FROM charge WHERE id = :id", id=call.id)
    return row


async def moved(ledger: Ledger, call: Any) -> list[tuple[str, str, int]]:
    rows = await ledger.rows(
        "SELECT source, target, unit, amount FROM transfer WHERE charge_id = :id AND kind <> 'cost' ORDER BY seq",
        id=call.id,
    )
    return [(row.source.partition(":")[0], row.target.partition(":")[0], row.unit, row.amount) for row in rows]
