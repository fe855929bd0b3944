from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.pricing import RatedCall
from ledger.repository.driver import driver


async def settle_charges(session: AsyncSession, calls: Iterable[RatedCall]) -> None:
    """Write what calls were paid with where it is not just the price that was claimed."""
    settled = [call for call in calls if call.is_settled_otherwise]
    if not settled:
        return
    async with driver(session) as connection:
        await connection.execute(
            "SELECT settle_charges($1, $2, $3, $4, $5, $6, $7)",
            [call.event.account_id for call in settled],
            [call.event.id for call in settled],
            [call.price_nano for call in settled],
            [call.plan_tokens for call in settled],
            [call.plan_requests for call in settled],
            [call.overage_nano for call in settled],
            [call.recognised_nano for call in settled],
        )
