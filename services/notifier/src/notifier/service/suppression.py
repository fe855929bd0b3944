"""Addresses that take no mail: told by the mail server, by its provider's webhook, or by hand."""

from datetime import timedelta
from typing import Final, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from notifier import metrics
from notifier.adapters.keys import AddressHashes
from notifier.repository import people

BounceType = Literal["hard", "soft", "complaint"]
BOUNCE_S: Final = 30 * 86_400.0


class Suppression:
    """Keeps addresses as keyed hashes only; a soft bounce is the mail server's to try again."""

    def __init__(self, *, clock: Clock, hashes: AddressHashes) -> None:
        self._clock = clock
        self._hashes = hashes

    async def note(self, session: AsyncSession, address: str, bounce: BounceType) -> bool:
        """A hard bounce stands for 30 days, a complaint until it is lifted; whether the address is suppressed now."""
        metrics.BOUNCES.labels(bounce).inc()
        if bounce == "soft":
            return False
        now, is_bounce = self._clock.now(), bounce == "hard"
        await people.upsert_suppressed(
            session,
            [self._hashes.of(address)],
            cause="bounce" if is_bounce else "complaint",
            now=now,
            until=now + timedelta(seconds=BOUNCE_S) if is_bounce else None,
        )
        return True

    async def lift(self, session: AsyncSession, address: str) -> bool:
        """False when the address was not suppressed."""
        return await people.delete_suppressed(session, self._hashes.of(address))

    async def cause(self, session: AsyncSession, address: str) -> str | None:
        """Why the address takes no mail now, if it takes none."""
        address_hash = self._hashes.of(address)
        return (await people.list_suppressed(session, [address_hash], now=self._clock.now())).get(address_hash)
