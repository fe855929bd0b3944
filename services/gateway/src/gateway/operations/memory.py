"""What Redis remembers of operations: who used an idempotency key, and how a hold ended. The ledger has the last word.

All keys of an account share its slot. What is lost with Redis costs no money: a key used again is booked at zero.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any, Final, Literal, Protocol, TypeVar
from uuid import UUID

from gateway.admission.commands import offset_ms_of
from gateway.admission.connection import Session
from gateway.admission.scripts import Script
from kit.clock import MovedClock, SystemClock

T = TypeVar("T")

KEY_KEPT_S: Final = 24 * 3600
END_KEPT_S: Final = 48 * 3600
# Less than the minute by which a call's id may be older than its admission (money.md 1).
UNANSWERED_S: Final = 30

Claimed = Literal["new", "again", "done", "other"]
Finished = Literal["new", "same", "other", "late"]


class Redis(Protocol):
    """The part of admission's connection that is needed."""

    async def attempt(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Raises `AdmissionUnavailableError`."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """The use of a key: by which call, and what it answered."""

    state: Claimed
    call_id: UUID | None = None
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class Finish:
    """How an operation ended: the event to publish and the answer to give."""

    state: Finished
    event: bytes = b""
    answer: bytes = b""


class OperationMemory:
    """Reads and writes it, each in one script."""

    def __init__(self, redis: Redis, *, clock: MovedClock | None = None) -> None:
        self._redis = redis
        self._clock = clock or SystemClock()
        self._claim, self._answer, self._finish = (_script(name) for name in ("claim", "answer", "finish"))

    async def claim(
        self, account_id: UUID, route: str, key: str, *, body_sha256: str, call_id: UUID, kept_s: int = KEY_KEPT_S
    ) -> Claim:
        """Whose the key is: `again` means that the same use is under way, or broke off a moment ago."""
        arguments = (body_sha256, str(call_id), UNANSWERED_S * 1000, kept_s)
        said = await self._run(self._claim, _key_of(account_id, route, key), *arguments)
        state, call, answer = (*said, b"", b"")[:3]
        return Claim(state.decode(), UUID(call.decode()) if call else None, answer)

    async def answered(self, account_id: UUID, route: str, key: str, *, call_id: UUID, answer: bytes) -> bytes:
        """From now on the key gives this answer, or the one that was kept for it before."""
        kept = await self._run(self._answer, _key_of(account_id, route, key), str(call_id), answer)
        return kept if isinstance(kept, bytes) else answer

    async def forget(self, account_id: UUID, route: str, key: str, *, call_id: UUID) -> None:
        """The use came to nothing: the key may be used again."""
        await self._run(self._answer, _key_of(account_id, route, key), str(call_id), b"")

    async def finish(
        self, account_id: UUID, call_id: UUID, *, asked: str, event: bytes, answer: bytes, before: datetime | None
    ) -> Finish:
        """Decide how an operation ends; what was decided first stands."""
        before_ms = 0 if before is None else int(before.timestamp() * 1000)
        arguments = (asked, before_ms, END_KEPT_S, event, answer)
        return Finish(*_finished(await self._run(self._finish, _end_of(account_id, call_id), *arguments)))

    async def end_of(self, account_id: UUID, call_id: UUID) -> Finish | None:
        """How an operation ended; None while it has not."""
        key = _end_of(account_id, call_id)
        event, answer = await self._redis.attempt(lambda session: session.command("HMGET", key, "event", "answer"))
        return None if event is None else Finish("same", event, answer)

    async def _run(self, script: Script, key: str, *arguments: str | bytes | int) -> Any:
        offset_ms = offset_ms_of(self._clock)
        return await self._redis.attempt(lambda session: session.script(script, [key], offset_ms, *arguments))


def _finished(said: list[bytes]) -> tuple[Any, ...]:
    return said[0].decode(), *said[1:]


def _key_of(account_id: UUID, route: str, key: str) -> str:
    return f"{{{account_id.hex}}}:operation-key:{route}:{hashlib.sha256(key.encode()).hexdigest()}"


def _end_of(account_id: UUID, call_id: UUID) -> str:
    return f"{{{account_id.hex}}}:operation-end:{call_id}"


def _script(name: str) -> Script:
    body = resources.files("gateway.operations").joinpath("scripts", f"{name}.lua").read_text(encoding="utf-8")
    return Script(name, body, hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest())
