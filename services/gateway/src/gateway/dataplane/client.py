"""The client's side of one request: reads a bounded body, writes one answer, knows when the client is gone."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Final

import orjson

from gateway.errors import ModelApiError
from gateway.headers import Header, first
from kit import logging

log = logging.get(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_SILENCE_S: Final = 30.0
STALL_S: Final = 60.0
_MOST_DISCARDED_BYTES: Final = 64 << 20
_DISCARD_S: Final = 5.0


class ClientGoneError(Exception):
    """The client left before its request was complete."""


class Client:
    """One exchange over raw ASGI. Writing to a client that is gone does nothing."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, request_id: str) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: Sequence[Header] = scope["headers"]
        self.request_id = request_id
        self.started = False
        self.gone = asyncio.Event()
        self._receive = receive
        self._send = send
        self._watching: asyncio.Task[None] | None = None
        self._body_was_read = True

    async def read_body(self, *, most_bytes: int) -> bytes:
        """The whole body; raises `ModelApiError` when it is too large, too slow or encoded."""
        self._check_head(most_bytes)
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._next_message()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > most_bytes:
                raise _too_large(most_bytes)
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def watch(self) -> None:
        """From now on, notice when the client goes."""
        self._watching = asyncio.create_task(self._watch())

    def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    async def start(self, status: int, headers: Sequence[Header]) -> None:
        self.started = True
        await self._write({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, data: bytes) -> None:
        await self._write({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        await self._write({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        length = (b"content-length", str(len(body)).encode())
        await self.start(status, [*headers, length])
        await self.finish(b"" if self.method == "HEAD" else body)

    async def answer_json(self, payload: Any, *, status: int = 200) -> None:
        await self.answer(status, self._own_headers(), orjson.dumps(payload))

    async def refuse(self, error: ModelApiError) -> None:
        """Answer with an envelope of our own."""
        headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
        if not self._body_was_read:
            headers.append((b"connection", b"close"))
            await self._discard()
        await self.answer(error.status, [*self._own_headers(), *headers], error.body(self.request_id))

    def _own_headers(self) -> list[Header]:
        return [
            (b"content-type", b"application/json"),
            (b"request-id", self.request_id.encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]

    def _check_head(self, most_bytes: int) -> None:
        if (first(self.headers, b"content-encoding") or b"identity").lower() != b"identity":
            self._body_was_read = False
            raise ModelApiError(400, "content-encoding: send the body uncompressed")
        length = first(self.headers, b"content-length") or b"0"
        if length.isdigit() and int(length) > most_bytes:
            self._body_was_read = False
            raise _too_large(most_bytes)

    async def _next_message(self) -> Message:
        self._body_was_read = False
        try:
            async with asyncio.timeout(BODY_SILENCE_S):
                message = await self._receive()
        except TimeoutError:
            raise ModelApiError(408, "The request body did not arrive in time") from None
        self._body_was_read = not message.get("more_body", False)
        return message

    async def _discard(self) -> None:
        """A client that still sends would meet a reset connection instead of the answer."""
        if first(self.headers, b"expect") is not None:
            return
        left = _MOST_DISCARDED_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_S):
                while left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone.set()

    async def _write(self, message: Message) -> None:
        if self.gone.is_set():
            return
        try:
            async with asyncio.timeout(STALL_S):
                await self._send(message)
        except TimeoutError:
            # One that keeps its connection and does not read is as good as gone.
            log.warning("gateway.client_stalled", request_id=self.request_id)
            self.gone.set()
        except OSError:
            self.gone.set()


def _too_large(most_bytes: int) -> ModelApiError:
    return ModelApiError(413, f"Request exceeds the maximum size of {most_bytes} bytes")
