"""Accounts and their customers in Stripe."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.tables import AccountRow, StripeCustomerRow


async def insert_account(
    session: AsyncSession, account_id: UUID, *, kind: str, owner_user_id: UUID, created_at: datetime
) -> None:
    await session.execute(
        insert(AccountRow)
        .values(id=account_id, kind=kind, owner_user_id=owner_user_id, created_at=created_at)
        .on_conflict_do_nothing()
    )


async def lock_account(session: AsyncSession, account_id: UUID) -> bool:
    """Whether the account is known; what is said about it afterwards leaves in order."""
    found = await session.scalar(select(AccountRow.id).where(AccountRow.id == account_id).with_for_update())
    return found is not None


async def find_customer(session: AsyncSession, account_id: UUID) -> str | None:
    found: str | None = await session.scalar(
        select(StripeCustomerRow.id).where(StripeCustomerRow.account_id == account_id)
    )
    return found


async def insert_customer(session: AsyncSession, account_id: UUID, customer_id: str) -> None:
    """The first one stays: an account has one customer for ever."""
    await session.execute(
        insert(StripeCustomerRow).values(account_id=account_id, id=customer_id).on_conflict_do_nothing()
    )


async def find_account_of_customer(session: AsyncSession, customer_id: str) -> UUID | None:
    found: UUID | None = await session.scalar(
        select(StripeCustomerRow.account_id).where(StripeCustomerRow.id == customer_id)
    )
    return found
