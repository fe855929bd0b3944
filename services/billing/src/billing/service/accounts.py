"""The accounts that may buy."""

from sqlalchemy.ext.asyncio import AsyncSession

from billing.repository import accounts as repository
from contracts.auth import AccountCreated


async def keep_account(session: AsyncSession, account: AccountCreated) -> None:
    """Know an account, so that its checkouts have someone to belong to."""
    await repository.insert_account(
        session,
        account.account_id,
        kind=account.kind,
        owner_user_id=account.owner_user_id,
        created_at=account.time,
    )
