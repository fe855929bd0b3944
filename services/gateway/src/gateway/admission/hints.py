"""Where sweepers find accounts that have entries: sharded, written before what they announce (money.md 16)."""

import time
from typing import Final
from uuid import UUID
from zlib import crc32

from gateway.admission.connection import RedisConnection, Session
from gateway.admission.scripts import HintScripts

SHARDS: Final = 16
VISIT_AFTER_S: Final = 60.0
QUIET_S: Final = 60.0
"""A hint goes only when nothing was announced for so long; admissions follow theirs within seconds."""
REPEAT_S: Final = 20.0
"""A gateway repeats a hint only after so long: well below `QUIET_S`."""
REMEMBERED: Final = 100_000


def shard_of(account_id: UUID) -> int:
    return crc32(account_id.bytes) % SHARDS


def shard_keys(shard: int) -> tuple[str, str]:
    tag = f"{{sweep:{shard}}}"
    return f"{tag}:due", f"{tag}:seen"


class Hints:
    """Announces accounts to the sweepers and lets sweepers claim them."""

    def __init__(self, redis: RedisConnection, *, offset_ms: int, visit_after_s: float = VISIT_AFTER_S) -> None:
        self._redis = redis
        self._offset_ms = offset_ms
        self._visit_after_ms = int(visit_after_s * 1000)
        self._scripts = HintScripts()
        self._noted: dict[tuple[str, UUID], float] = {}

    async def note(self, session: Session, account_id: UUID) -> None:
        """Announce that the account may get an entry; cheap when this gateway did so just now."""
        key = session.run_id, account_id
        if time.monotonic() - self._noted.get(key, float("-inf")) < REPEAT_S:
            return
        await session.script(
            self._scripts.hint,
            shard_keys(shard_of(account_id)),
            self._offset_ms,
            str(account_id),
            self._visit_after_ms,
        )
        if len(self._noted) >= REMEMBERED:
            self._noted.clear()
        self._noted[key] = time.monotonic()

    async def claim(self, shard: int, *, limit: int, lease_s: float) -> list[UUID]:
        """Accounts that are due; other sweepers see them again only after the lease."""
        arguments = (self._offset_ms, limit, int(lease_s * 1000))
        found = await self._redis.attempt(
            lambda session: session.script(self._scripts.claim, shard_keys(shard), *arguments)
        )
        return [UUID(account.decode()) for account in found]

    async def visited(self, session: Session, account_id: UUID, *, due_ms: str) -> None:
        """Set the account's next visit; `due_ms` is empty when it has no entry."""
        await session.script(
            self._scripts.visited,
            shard_keys(shard_of(account_id)),
            self._offset_ms,
            str(account_id),
            due_ms,
            self._visit_after_ms,
            int(QUIET_S * 1000),
        )
