"""What providers say, byte by byte."""

import json
from typing import Any

from .world import MODEL

USAGE = {"input_tokens": 25, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 42}


def event(name: str, **members: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **members})}\n\n".encode()


def delta(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def start(model: str = MODEL) -> bytes:
    usage = {**USAGE, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}
    return event("message_start", message=message)


def stop(output_tokens: int = 42) -> bytes:
    ended = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": output_tokens})
    return event("content_block_stop", index=0) + ended + event("message_stop")


def stream(*, deltas: int = 40, model: str = MODEL) -> bytes:
    block = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    return start(model) + block + b"".join(delta(f" w\u00f6rd{n}") for n in range(deltas)) + stop()


OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_p\r\n"
    b"anthropic-organization-id: org\r\ntransfer-encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def message(model: str = MODEL) -> bytes:
    said = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn"}
    return json.dumps({**said, "content": [{"type": "text", "text": "hello"}], "usage": USAGE}).encode()


def whole(body: bytes, status: int = 200, **headers: str) -> bytes:
    given = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nrequest-id: req_p\r\n{given}"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


def error(kind: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": "no"}}).encode()
