"""Where sweepers find accounts that have entries: sharded, written before what they announce (money.md 16)."""

import time
from typing import Final
from uuid import UUID
from zlib import crc32

from gateway.admission.commands import offset_ms_of
from gateway.admission.connection import RedisConnection, Session
from gateway.admission.scripts import HintScripts, written
from gateway.admission.wire import Wire
from kit.clock import MovedClock

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

    def __init__(self, redis: RedisConnection, *, clock: MovedClock, visit_after_s: float = VISIT_AFTER_S) -> None:
        self._redis = redis
        self._clock = clock
        self._visit_after_ms = int(visit_after_s * 1000)
        self._scripts = HintScripts()
        # By the ids' integers: a UUID is hashed in Python, on each look-up anew.
        self._fresh_until: dict[int, float] = {}
        self._noted_run = ""

    def note_soon(self, wire: Wire, run_id: str, account_id: UUID) -> None:
        """Announce that the account may get an entry, ahead of what is written next; free when it was done just now."""
        if run_id == self._noted_run and self._fresh_until.get(account_id.int, 0.0) > time.monotonic():
            return
        command = written(self._scripts.hint, shard_keys(shard_of(account_id)), run_id, *self._arguments(account_id))
        self._remember(run_id, account_id)
        wire.send(command, lambda reply: self._noted_soon(account_id, reply), self._scripts.hint)

    async def note(self, session: Session, account_id: UUID) -> None:
        """The same for slow work: it has been written when this returns."""
        run_id = session.run_id
        if run_id == self._noted_run and self._fresh_until.get(account_id.int, 0.0) > time.monotonic():
            return
        keys = shard_keys(shard_of(account_id))
        await session.script(self._scripts.hint, keys, *self._arguments(account_id))
        self._remember(run_id, account_id)

    def _arguments(self, account_id: UUID) -> tuple[int, str, int]:
        return offset_ms_of(self._clock), str(account_id), self._visit_after_ms

    def _remember(self, run_id: str, account_id: UUID) -> None:
        fresh = self._fresh_until
        if run_id != self._noted_run:
            fresh.clear()
            self._noted_run = run_id
        if len(fresh) >= REMEMBERED:
            del fresh[next(iter(fresh))]
        fresh.pop(account_id.int, None)
        fresh[account_id.int] = time.monotonic() + REPEAT_S

    def _noted_soon(self, account_id: UUID, reply: object) -> None:
        if isinstance(reply, Exception):
            self._fresh_until.pop(account_id.int, None)

    async def claim(self, shard: int, *, limit: int, lease_s: float) -> list[UUID]:
        """Accounts that are due; other sweepers see them again only after the lease."""
        arguments = (offset_ms_of(self._clock), limit, int(lease_s * 1000))
        found = await self._redis.attempt(
            lambda session: session.script(self._scripts.claim, shard_keys(shard), *arguments)
        )
        return [UUID(account.decode()) for account in found]

    async def visited(self, session: Session, account_id: UUID, *, due_ms: str) -> None:
        """Set the account's next visit; `due_ms` is empty when it has no entry."""
        await session.script(
            self._scripts.visited,
            shard_keys(shard_of(account_id)),
            offset_ms_of(self._clock),
            str(account_id),
            due_ms,
            self._visit_after_ms,
            int(QUIET_S * 1000),
        )
