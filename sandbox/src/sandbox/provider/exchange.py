"""One request and its answer over raw ASGI, with what is logged of them."""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import orjson

from sandbox.provider.calls import Call, CallLog
from sandbox.provider.errors import ApiError
from sandbox.provider.request import MAX_BODY_BYTES

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LETTER_OF_BYTE = bytes(ord(_BASE62[byte % 62]) for byte in range(256))
_LIMITS: Mapping[str, int] = {
    "requests": 4000,
    "tokens": 2_400_000,
    "input-tokens": 2_000_000,
    "output-tokens": 400_000,
}


class ClientGoneError(Exception):
    """The client closed its connection before the answer was complete."""


def new_id(prefix: str) -> str:
    return f"{prefix}_01{secrets.token_bytes(22).translate(_LETTER_OF_BYTE).decode()}"


class Exchange:
    """Reads one body, sends one answer, and keeps what it sent."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, log: CallLog) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        self.headers = _headers(scope["headers"])
        self.request_id = new_id("req")
        self.call: Call | None = None
        self.house_headers: Callable[[str], dict[str, str]] = _common_headers
        self._receive, self._send, self._log = receive, send, log
        self._gone: asyncio.Task[Message] | None = None

    def record(self) -> Call:
        """Enter this request into the log of calls."""
        self.call = self._log.start(self.request_id, path=self.path, headers=self.headers)
        return self.call

    async def read_body(self) -> bytes:
        if int(self.headers.get("content-length", "0")) > MAX_BODY_BYTES:
            raise ApiError(413)
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            parts.append(message["body"])
            size += len(message["body"])
            if size > MAX_BODY_BYTES:
                raise ApiError(413)
            more = message.get("more_body", False)
        body = b"".join(parts)
        if self.call is not None:
            self.call.body_sha256, self.call.body_bytes = hashlib.sha256(body).hexdigest(), size
        self._gone = asyncio.ensure_future(self._receive())
        return body

    async def start(self, status: int, *, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        if self.call is not None:
            self.call.status = status
        sent = {"content-type": content_type, **self.house_headers(self.request_id), **(headers or {})}
        pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in sent.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def write(self, data: bytes) -> None:
        if self._gone is not None and self._gone.done():
            raise ClientGoneError
        if self.call is not None:
            self._log.keep(self.call, data)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self) -> None:
        # Marked before the last byte, so that a client which has the whole answer finds it marked.
        self.ended("completed")
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def ended(self, how: str) -> None:
        if self.call is not None:
            self.call.ended = how

    async def pause(self, seconds: float) -> None:
        if seconds >= 1 and self._gone is not None:
            await asyncio.wait({self._gone}, timeout=seconds)
        elif seconds > 0:
            await asyncio.sleep(seconds)
        if self._gone is not None and self._gone.done():
            raise ClientGoneError

    async def wait_until_gone(self) -> None:
        """Hold the connection until the client gives up."""
        if self._gone is not None:
            await self._gone
        raise ClientGoneError

    async def answer(self, payload: Any, *, status: int = 200) -> None:
        await self.answer_bytes(orjson.dumps(payload), status=status, content_type="application/json")

    async def answer_bytes(
        self, body: bytes, *, status: int, content_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        length = {"content-length": str(len(body)), **(headers or {})}
        await self.start(status, content_type=content_type, headers=length)
        if body and self.method != "HEAD":
            await self.write(body)
        await self.finish()

    async def refuse(self, error: ApiError) -> None:
        body = error.envelope(self.request_id)
        retry = {"x-should-retry": "true" if error.status in (408, 409, 429) or error.status >= 500 else "false"}
        headers = {**retry, **error.headers}
        await self.answer_bytes(body, status=error.status, content_type="application/json", headers=headers)

    def close(self) -> None:
        if self._gone is not None:
            self._gone.cancel()


def _headers(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header values by lower-case name; one that is repeated is joined, as the rules of HTTP have it."""
    found: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _common_headers(request_id: str) -> dict[str, str]:
    reset = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = {"request-id": request_id, "anthropic-organization-id": "00000000-0000-4000-8000-5a0db0c5a0db"}
    for kind, limit in _LIMITS.items():
        headers[f"anthropic-ratelimit-{kind}-limit"] = str(limit)
        headers[f"anthropic-ratelimit-{kind}-remaining"] = str(limit - 1 if kind == "requests" else limit - 1000)
        headers[f"anthropic-ratelimit-{kind}-reset"] = reset
    return headers
