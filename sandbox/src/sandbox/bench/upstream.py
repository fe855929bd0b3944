"""A model provider that costs almost nothing, so that what is measured is the gateway.

    python -m sandbox.bench.upstream PORT [CERTIFICATE KEY]

Answers `POST /v1/messages` at once, streamed when the body says so; a body that holds `pace:MS` gets its stream event
by event, so many milliseconds apart, each stamped with the monotonic clock of this machine.
"""

import asyncio
import json
import ssl
import sys
import time
from typing import Any, Final, cast

import uvloop

USAGE: Final = {
    "input_tokens": 25,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 42,
}
MESSAGE: Final[dict[str, Any]] = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "stop_sequence": None,
}
DELTAS: Final = 40


def _event(name: str, **members: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **members})}\n\n".encode()


def _chunked(events: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events)


def _starting() -> list[bytes]:
    started = {**MESSAGE, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}
    block = {"type": "text", "text": ""}
    return [_event("message_start", message=started), _event("content_block_start", index=0, content_block=block)]


def _ending() -> list[bytes]:
    return [
        _event("content_block_stop", index=0),
        _event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 42}),
        _event("message_stop"),
    ]


HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_1\r\ntransfer-encoding: chunked\r\n\r\n"
)
STARTING: Final = _chunked(_starting())
ENDING: Final = _chunked(_ending()) + b"0\r\n\r\n"


def _streamed() -> bytes:
    deltas = [
        _event("content_block_delta", index=0, delta={"type": "text_delta", "text": f" word{n}"}) for n in range(DELTAS)
    ]
    return HEAD + STARTING + _chunked(deltas) + ENDING


def _whole() -> bytes:
    content = [{"type": "text", "text": "hello " * 40}]
    body = json.dumps({**MESSAGE, "content": content, "stop_reason": "end_turn", "usage": USAGE}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_1\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def _stamped() -> bytes:
    """One delta whose text is the time at which it leaves."""
    delta = {"type": "text_delta", "text": f"{time.monotonic_ns():019d}"}
    event = _event("content_block_delta", index=0, delta=delta)
    return b"%x\r\n%s\r\n" % (len(event), event)


class Pacemaker:
    """Streams in step: those of one millisecond get the same bytes, so that a thousand of them cost little."""

    def __init__(self) -> None:
        self._groups: dict[int, list[Stream]] = {}
        self._next = 0

    def add(self, stream: "Stream") -> None:
        if not self._groups:
            self._next = _now_ms() + 1
            asyncio.get_running_loop().call_later(0.001, self._tick)
        self._groups.setdefault((_now_ms() + stream.interval_ms), []).append(stream)

    def _tick(self) -> None:
        for due in range(self._next, (now := _now_ms()) + 1):
            for stream in self._groups.pop(due, ()):
                if stream.go_on(_stamped()):
                    self._groups.setdefault(due + stream.interval_ms, []).append(stream)
        self._next = now + 1
        if self._groups:
            asyncio.get_running_loop().call_later(0.001, self._tick)


class Stream:
    """One paced answer."""

    def __init__(self, transport: asyncio.Transport, interval_ms: int) -> None:
        self._transport = transport
        self._left = DELTAS
        self.interval_ms = interval_ms
        transport.write(HEAD + STARTING)

    def go_on(self, delta: bytes) -> bool:
        """The next event; false when there is none after it."""
        if self._transport.is_closing():
            return False
        self._left -= 1
        self._transport.write(delta if self._left else delta + ENDING)
        return self._left > 0


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Provider(asyncio.Protocol):
    """Reads requests with a content-length (or chunked, as clients may send) and answers with fixed bytes."""

    streamed = _streamed()
    whole = _whole()
    pacemaker = Pacemaker()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            total = self._request_length(end + 4)
            if total is None or len(self._buffer) < total:
                return
            body, self._buffer = self._buffer[end + 4 : total], self._buffer[total:]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        stream = b'"stream": true' in body or b'"stream":true' in body
        at = body.find(b"pace:")
        if stream and at >= 0:
            self.pacemaker.add(Stream(self._transport, int(body[at + 5 :].split(b'"', 1)[0])))
        else:
            self._transport.write(self.streamed if stream else self.whole)

    def _request_length(self, body_at: int) -> int | None:
        head = self._buffer[:body_at].lower()
        at = head.find(b"content-length:")
        if at >= 0:
            return body_at + int(head[at + 15 :].split(b"\r\n", 1)[0])
        if b"transfer-encoding: chunked" in head:
            last = self._buffer.find(b"0\r\n\r\n", body_at)
            return None if last < 0 else last + 5
        return body_at


async def _serve(port: int, *files: str) -> None:
    tls = None
    if files:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*files)
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=4096, ssl=tls)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), *sys.argv[2:]))
