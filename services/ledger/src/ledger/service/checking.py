"""Whether the books agree with themselves (`conservation`)."""

from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.conservation import Books
from ledger.repository import conservation


async def check_books(session: AsyncSession) -> Books:
    """Every unit sums to zero; every stored balance, debt, charge and sequence is what its transfers say."""
    return await conservation.check_books(session)
