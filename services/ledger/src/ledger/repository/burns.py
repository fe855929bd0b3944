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
            """
            UPDATE charge AS c SET price_nano = n.price_nano, plan_tokens = n.plan_tokens,
                plan_requests = n.plan_requests, overage_nano = n.overage_nano, recognised_nano = n.recognised_nano
            FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
                AS n(account_id, id, price_nano, plan_tokens, plan_requests, overage_nano, recognised_nano)
            WHERE c.account_id = n.account_id AND c.id = n.id
            """,
            [call.event.account_id for call in settled],
            [call.event.id for call in settled],
            [call.price_nano for call in settled],
            [call.plan_tokens for call in settled],
            [call.plan_requests for call in settled],
            [call.overage_nano for call in settled],
            [call.recognised_nano for call in settled],
        )
