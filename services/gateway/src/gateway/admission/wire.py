"""One connection to Redis: all commands of a loop turn leave in one write, answers are matched in order."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from hiredis import Reader, ReplyError

from gateway.admission.scripts import Script
from gateway.admission.types import AdmissionUnavailableError
from kit import logging

log = logging.get(__name__)

Then = Callable[[Any], None]
"""Gets the reply, or an exception as a value; is called on the loop and does not raise."""

_CHECKS_PER_LIMIT: Final = 8
_AGAIN_S: Final = 0.02
_LONG_TURN_S: Final = 0.001
# What says that this server must not be asked any more; a script's error wraps the server's own.
_WRONG_SERVER: Final = ("READONLY", "LOADING", "MASTERDOWN", "NOAUTH")


class RedisAwayError(AdmissionUnavailableError):
    """There is no connection to Redis: nothing was asked."""


class RedisLostError(AdmissionUnavailableError):
    """The connection went while Redis was asked: it may have done it."""


class RedisReplyError(AdmissionUnavailableError):
    """Redis refuses, for instance for want of memory: nothing was done."""


class Wire(asyncio.Protocol):
    """Alive from `connection_made` until `on_lost`; then another one is made."""

    def __init__(
        self, *, timeout_s: float, on_lost: Callable[["Wire"], None], on_answered: Callable[[], None] = lambda: None
    ) -> None:
        """`on_answered` is called behind the answers that one read brought: what they made leaves at once."""
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._on_answered = on_answered
        self._loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._waiting: deque[tuple[Then, float, Script | None, bytes]] = deque()
        self._out: list[bytes] = []
        self._turn_at = self._written_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._suspect = False

    @property
    def alive(self) -> bool:
        return self._transport is not None

    def send(self, command: bytes, then: Then, script: Script | None = None) -> None:
        """Write it at the end of this loop turn; a turn that reads a thousand streams is too long to wait for."""
        if not self._out:
            self._turn_at = self._loop.time()
            self._loop.call_soon(self._flush)
        self._out.append(command)
        self._waiting.append((then, self._turn_at, script, command))
        now = time.monotonic()
        if now - self._turn_at > _LONG_TURN_S and now - self._written_s > _LONG_TURN_S:
            self._written_s = now
            self._flush()

    def drop(self) -> None:
        """Close at once; who waits is told that the connection was lost."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._timer = self._loop.call_later(self._timeout_s / _CHECKS_PER_LIMIT, self._check)

    def data_received(self, data: bytes) -> None:
        gets, next_waiting = self._reader.gets, self._waiting.popleft
        self._reader.feed(data)
        while (reply := gets()) is not False:
            then, _, script, command = next_waiting()
            if reply.__class__ is ReplyError:
                self._refused(reply, then, script, command)
            else:
                then(reply)
        self._on_answered()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._fail()
        self._on_lost(self)

    def _flush(self) -> None:
        if self._transport is None:
            self._fail()
            return
        out = self._out
        if out:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def _fail(self) -> None:
        self._out.clear()
        while self._waiting:
            then, *_ = self._waiting.popleft()
            then(RedisLostError())

    def _refused(self, error: Exception, then: Then, script: Script | None, command: bytes) -> None:
        text = str(error)
        if text.startswith("NOSCRIPT") and script is not None:
            self.send(script.whole(command), then)
            return
        log.warning("admission.redis_refused", reason=text[:200])
        then(RedisReplyError())
        if any(word in text for word in _WRONG_SERVER):
            # Demoted or not there yet: only a new connection finds the server that leads.
            self.drop()

    def _check(self) -> None:
        late = bool(self._waiting) and self._loop.time() - self._waiting[0][1] > self._timeout_s
        if late and self._suspect:
            log.warning("admission.redis_too_slow", waiting=len(self._waiting))
            self.drop()
            return
        # Once more before it counts: a loop that stood still has not read what is there.
        self._suspect = late
        delay_s = _AGAIN_S if late else self._timeout_s / _CHECKS_PER_LIMIT
        self._timer = self._loop.call_later(delay_s, self._check)
