"""What billing hears from the other services."""

from sqlalchemy.ext.asyncio import AsyncSession

from billing.service import accounts
from billing.service.overage import owe_overage
from billing.service.pay_per_use import owe_use
from billing.service.top_ups import look_soon
from contracts.auth import AccountCreated
from contracts.ledger import OverageAccrued, ThresholdCrossed
from kit.clock import Clock
from kit.consumer import Consumer


def build_consumer(group: str, *, clock: Clock) -> Consumer:
    consumer = Consumer(group)

    @consumer.on(AccountCreated)
    async def on_account_created(session: AsyncSession, account: AccountCreated) -> None:
        await accounts.keep_account(session, account)

    @consumer.on(OverageAccrued)
    async def on_overage_accrued(session: AsyncSession, event: OverageAccrued) -> None:
        await owe_use(session, event, now=clock.now())
        await owe_overage(session, event, now=clock.now())

    @consumer.on(ThresholdCrossed)
    async def on_threshold_crossed(session: AsyncSession, event: ThresholdCrossed) -> None:
        await look_soon(session, event.account_id, now=clock.now())

    return consumer
