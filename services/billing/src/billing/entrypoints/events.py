"""What billing hears from the other services."""

from sqlalchemy.ext.asyncio import AsyncSession

from billing.service import accounts
from contracts.auth import AccountCreated
from kit.consumer import Consumer


def build_consumer(group: str) -> Consumer:
    consumer = Consumer(group)

    @consumer.on(AccountCreated)
    async def on_account_created(session: AsyncSession, account: AccountCreated) -> None:
        await accounts.keep_account(session, account)

    return consumer
