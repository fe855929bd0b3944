"""One connection to a broker that carries produce requests only: no task, future or timer for a request."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from gateway.usage.produce import Answered, Produce, answered

Answer = list[Answered] | None
Then = Callable[[Answer], None]
"""Gets what the broker said; None: the connection broke, and the events may have arrived all the same."""

_LENGTH_BYTES: Final = 4


class ProduceConnection(asyncio.Protocol):
    """Answers come in the order of requests. Whoever waits for them looks at the clock; nobody else does here."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id.encode()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[int, Then]] = deque()
        self._asked = 0
        self._read = b""

    @property
    def is_up(self) -> bool:
        return self._transport is not None

    def send(self, request: Produce, then: Then) -> None:
        """Write at once; `then` is called once, unless the connection is closed from here."""
        transport = self._transport
        if transport is None:
            asyncio.get_running_loop().call_soon(then, None)
            return
        self._asked = number = (self._asked + 1) & 0x7FFFFFFF
        self._waiting.append((number, then))
        transport.write(request.framed(number, self._client_id))

    def close(self) -> None:
        """Whoever waits hears nothing more."""
        self._waiting.clear()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        read = self._read + data if self._read else data
        start = 0
        while len(read) - start >= _LENGTH_BYTES:
            end = start + _LENGTH_BYTES + int.from_bytes(read[start : start + _LENGTH_BYTES], "big")
            if len(read) < end:
                break
            if not self._answered(read[start + _LENGTH_BYTES : end]):
                return
            start = end
        self._read = read[start:]

    def _answered(self, frame: bytes) -> bool:
        number, answer = answered(frame)
        if not self._waiting or self._waiting[0][0] != number:
            # Answers that cannot be told apart acknowledge nothing.
            if self._transport is not None:
                self._transport.abort()
            return False
        self._waiting.popleft()[1](answer)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        waiting, self._waiting = self._waiting, deque()
        for _, then in waiting:
            then(None)
