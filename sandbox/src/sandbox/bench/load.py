"""A closed-loop client: N kept-alive connections, each sends its next call when the last one ended.

    python -m sandbox.bench.load PORT CONNECTIONS SECONDS json|stream KEYS_FILE [WARM_UP_S]

Prints `warm`, then one JSON line: calls, seconds, errors, CPU not included. The warm-up does not count.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, cast

import uvloop

# A new Kafka compiles itself for some seconds.
WARM_UP_S: Final = 8.0
PROMPT: Final = "Write a haiku about gateways. " * 8


@dataclass
class Tally:
    """What all connections count together."""

    ended: int = 0
    errors: int = 0
    samples: list[str] = field(default_factory=list)
    stopping: bool = False


def request(key: str, *, stream: bool) -> bytes:
    messages = [{"role": "user", "content": PROMPT}]
    body = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 256, "stream": stream, "messages": messages})
    head = (
        "POST /v1/messages HTTP/1.1\r\nhost: gateway\r\n"
        f"x-api-key: {key}\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally, sent: bytes) -> None:
        self._tally = tally
        self._sent = sent
        self._buffer = b""
        self._length: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._fire()

    def _fire(self) -> None:
        if self._tally.stopping:
            self._transport.close()
            return
        self._buffer, self._length = b"", None
        self._transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._length is None and not self._read_head():
            return
        done = len(self._buffer) >= self._length if self._length else self._buffer.endswith(b"0\r\n\r\n")
        if done:
            self._tally.ended += 1
            self._fire()

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        if not self._buffer.startswith(b"HTTP/1.1 200"):
            self._tally.errors += 1
            if len(self._tally.samples) < 3:
                self._tally.samples.append(self._buffer[:500].decode(errors="replace"))
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        self._length = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        return True


async def _load(
    port: int, connections: int, *, seconds: float, warm_up_s: float, stream: bool, keys: list[str]
) -> dict[str, object]:
    tally = Tally()
    loop = asyncio.get_running_loop()
    for number in range(connections):
        caller = partial(Caller, tally, request(keys[number % len(keys)], stream=stream))
        await loop.create_connection(caller, "127.0.0.1", port)
    await asyncio.sleep(warm_up_s)
    sys.stdout.write("warm\n")
    sys.stdout.flush()
    before, began = tally.ended, time.perf_counter()
    await asyncio.sleep(seconds)
    calls, elapsed = tally.ended - before, time.perf_counter() - began
    tally.stopping = True
    return {"calls": calls, "seconds": elapsed, "errors": tally.errors, "samples": tally.samples}


def main(arguments: list[str]) -> None:
    port, connections, seconds, kind, keys_file, *warm_up_s = arguments
    work = _load(
        int(port),
        int(connections),
        seconds=float(seconds),
        warm_up_s=float(warm_up_s[0]) if warm_up_s else WARM_UP_S,
        stream=kind == "stream",
        keys=Path(keys_file).read_text().split(),
    )
    done = uvloop.run(work)
    sys.stdout.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
