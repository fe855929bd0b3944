from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.usage_days import DayKey, Days, DaySums
from ledger.repository.driver import NOBODY, driver

_COLUMNS: Final = (*DayKey._fields, *DaySums._fields)
_NAMES: Final = ", ".join(_COLUMNS)
_KEY: Final = ", ".join(DayKey._fields)
_STAGING: Final = "CREATE TEMPORARY TABLE IF NOT EXISTS arriving_day (LIKE usage_day) ON COMMIT DELETE ROWS"
# In order of key, so that two writers of the same days never wait for each other in a ring.
_SUMS: Final = ", ".join(f"{name} = usage_day.{name} + excluded.{name}" for name in DaySums._fields)
_ADD: Final = f"""
INSERT INTO usage_day ({_NAMES}) SELECT {_NAMES} FROM arriving_day ORDER BY {_KEY}
ON CONFLICT ({_KEY}) DO UPDATE SET {_SUMS}
"""  # noqa: S608  # our own column names


async def add_usage_days(session: AsyncSession, days: Days) -> None:
    """Add to what stands; one statement, one row per key."""
    if not days:
        return
    async with driver(session) as connection:
        await connection.execute(_STAGING)
        # What an earlier batch of the same transaction left.
        await connection.execute("DELETE FROM arriving_day")
        records = [
            (*key[:4], project_id or NOBODY, api_key_id or NOBODY, user_id or NOBODY, *sums)
            for key, sums in days.items()
            for project_id, api_key_id, user_id in [key[4:]]
        ]
        await connection.copy_records_to_table("arriving_day", columns=_COLUMNS, records=records)
        await connection.execute(_ADD)
