"""What the operator has switched on; what is not here is off."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.tables import SwitchRow


async def is_on(session: AsyncSession, name: str) -> bool:
    return bool(await session.scalar(select(SwitchRow.is_on).where(SwitchRow.name == name)))


async def save_switch(session: AsyncSession, name: str, *, is_on: bool, now: datetime) -> None:
    values = {"is_on": is_on, "changed_at": now}
    await session.execute(
        insert(SwitchRow).values(name=name, **values).on_conflict_do_update(index_elements=["name"], set_=values)
    )
