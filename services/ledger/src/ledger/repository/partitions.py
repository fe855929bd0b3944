from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def ensure_partitions(session: AsyncSession, *, now: datetime, months_ahead: int) -> int:
    """Make the monthly partitions from last month on; how many were missing."""
    first = (now.replace(day=1) - timedelta(days=1)).date()
    made = await session.scalar(
        text("SELECT ensure_month_partitions(:first, :months)"), {"first": first, "months": months_ahead + 2}
    )
    return int(made or 0)
