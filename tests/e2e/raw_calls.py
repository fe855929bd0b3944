"""Model calls as bytes over a connection each: cheap by the hundred, and exact about how each one ended."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

MODEL = "claude-sonnet-5-5"
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is None when no head came; `whole` says that the answer reached its proper end."""

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False

    @property
    def call_id(self) -> UUID:
        return UUID(self.headers["faregate-request-id"])

    @property
    def has_error_event(self) -> bool:
        return b"event: error" in self.body

    @property
    def is_served(self) -> bool:
        """The provider's answer, from its first to its last byte."""
        return self.status == 200 and self.whole and not self.has_error_event


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever holds an API key."""

    url: str
    api_key: str

    async def ask(self, *, max_tokens: int, scenario: str, stream: bool = False) -> Answer:
        body = {
            "model": MODEL,
            "max_tokens": max_tokens,
            "stream": stream,
            "messages": [{"role": "user", "content": "Say hello"}],
        }
        request = self._request(json.dumps(body).encode(), scenario=scenario)
        async with asyncio.timeout(TIMEOUT_S):
            return _answer(await self._exchange(request))

    async def many(self, count: int, **call: Any) -> list[Answer]:
        """All at once."""
        return list(await asyncio.gather(*(self.ask(**call) for _ in range(count))))

    def _request(self, body: bytes, *, scenario: str) -> bytes:
        lines = (
            "POST /v1/messages HTTP/1.1",
            f"host: {urlsplit(self.url).netloc}",
            f"x-api-key: {self.api_key}",
            "anthropic-version: 2023-06-01",
            f"anthropic-sandbox-scenario: {scenario}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "connection: close",
        )
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def _exchange(self, request: bytes) -> bytes:
        address = urlsplit(self.url)
        received = bytearray()
        with contextlib.suppress(ConnectionError):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                writer.write(request)
                while piece := await reader.read(65_536):
                    received += piece
            finally:
                writer.close()
        return bytes(received)


def _answer(received: bytes) -> Answer:
    head, found, rest = received.partition(b"\r\n\r\n")
    if not found:
        return Answer(None)
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(first.split()[1])
    if headers.get("transfer-encoding") == "chunked":
        body, whole = _unchunked(rest)
        return Answer(status, headers, body, whole)
    return Answer(status, headers, rest, len(rest) == int(headers["content-length"]))


def _unchunked(rest: bytes) -> tuple[bytes, bool]:
    body = bytearray()
    while True:
        size, found, rest = rest.partition(b"\r\n")
        if not found:
            return bytes(body), False
        length = int(size, 16)
        body += rest[:length]
        if len(rest) < length + 2:
            return bytes(body), False
        rest = rest[length + 2 :]
        if length == 0:
            return bytes(body), True
