"""A model provider that costs almost nothing, so that what is measured is the gateway.

    python -m sandbox.bench.upstream PORT

Answers `POST /v1/messages` at once, streamed when the body says so.
"""

import asyncio
import json
import sys
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


def _streamed() -> bytes:
    started = {**MESSAGE, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}
    block = {"type": "text", "text": ""}
    events = [
        _event("message_start", message=started),
        _event("content_block_start", index=0, content_block=block),
        *(
            _event("content_block_delta", index=0, delta={"type": "text_delta", "text": f" word{n}"})
            for n in range(DELTAS)
        ),
        _event("content_block_stop", index=0),
        _event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 42}),
        _event("message_stop"),
    ]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events)
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_1\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return head + chunks + b"0\r\n\r\n"


def _whole() -> bytes:
    content = [{"type": "text", "text": "hello " * 40}]
    body = json.dumps({**MESSAGE, "content": content, "stop_reason": "end_turn", "usage": USAGE}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_1\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


class Provider(asyncio.Protocol):
    """Reads requests with a content-length (or chunked, as clients may send) and answers with fixed bytes."""

    streamed = _streamed()
    whole = _whole()

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
            stream = b'"stream": true' in body or b'"stream":true' in body
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


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
