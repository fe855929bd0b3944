"""Streams in step: N connections read paced answers; how many events came, how late, how late the first and last byte.

    python -m sandbox.bench.paced PORT CONNECTIONS SECONDS INTERVAL_MS KEYS_FILE

Each event holds the time at which the provider wrote it, on the same clock. Prints `warm`, then one JSON line.
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

from sandbox.bench.figures import quantile
from sandbox.bench.upstream import DELTAS

WARM_UP_S: Final = 2.0
_STAMP: Final = b'"text": "'
_STAMP_DIGITS: Final = 19
_EVENT: Final = b"event: content_block_delta"


@dataclass
class Tally:
    """What all connections see together; `counting` is false in the warm-up."""

    counting: bool = False
    stopping: bool = False
    events: int = 0
    calls: int = 0
    errors: int = 0
    samples: list[str] = field(default_factory=list)
    late_ns: list[int] = field(default_factory=list)
    first_ns: list[int] = field(default_factory=list)
    last_ns: list[int] = field(default_factory=list)


def request(key: str, *, interval_ms: int) -> bytes:
    body = json.dumps(
        {
            "model": "claude-sonnet-4-5",
            "max_tokens": 256,
            "stream": True,
            "stop_sequences": [f"pace:{interval_ms}"],
            "messages": [{"role": "user", "content": "Write a haiku about gateways. " * 8}],
        }
    )
    head = (
        "POST /v1/messages HTTP/1.1\r\nhost: gateway\r\n"
        f"x-api-key: {key}\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


class Reader(asyncio.Protocol):
    """One connection, one stream after the other."""

    def __init__(self, tally: Tally, sent: bytes) -> None:
        self._tally = tally
        self._sent = sent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._fire()

    def _fire(self) -> None:
        if self._tally.stopping:
            self._transport.close()
            return
        self._tail, self._sent_ns, self._is_first = b"", time.monotonic_ns(), True
        self._transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        now, tally = time.monotonic_ns(), self._tally
        if self._is_first:
            self._is_first = False
            self._note_first(data, now)
        at = data.find(_STAMP)
        while at >= 0:
            stamp = data[at + len(_STAMP) : at + len(_STAMP) + _STAMP_DIGITS]
            if stamp.isdigit() and len(stamp) == _STAMP_DIGITS:
                self._stamped_ns = int(stamp)
                if tally.counting:
                    tally.events += 1
                    tally.late_ns.append(now - self._stamped_ns)
            at = data.find(_STAMP, at + 1)
        self._tail = (self._tail + data)[-5:]
        if self._tail == b"0\r\n\r\n":
            if tally.counting:
                tally.calls += 1
                tally.last_ns.append(now - self._stamped_ns)
            self._fire()

    def _note_first(self, data: bytes, now: int) -> None:
        tally = self._tally
        if not data.startswith(b"HTTP/1.1 200"):
            tally.errors += 1
            if len(tally.samples) < 3:
                tally.samples.append(data[:500].decode(errors="replace"))
        elif tally.counting:
            tally.first_ns.append(now - self._sent_ns)


async def _load(port: int, connections: int, seconds: float, *, interval_ms: int, keys: list[str]) -> dict[str, object]:
    tally, loop = Tally(), asyncio.get_running_loop()
    # Evenly over the length of one answer: people do not begin in step, and what begins in step stays so for ever.
    began, answer_s = loop.time(), DELTAS * interval_ms / 1000
    for number in range(connections):
        reader = partial(Reader, tally, request(keys[number % len(keys)], interval_ms=interval_ms))
        await loop.create_connection(reader, "127.0.0.1", port)
        await asyncio.sleep(max(0.0, began + answer_s * (number + 1) / connections - loop.time()))
    await asyncio.sleep(WARM_UP_S)
    sys.stdout.write("warm\n")
    sys.stdout.flush()
    tally.counting, began = True, time.perf_counter()
    await asyncio.sleep(seconds)
    tally.counting, tally.stopping, elapsed = False, True, time.perf_counter() - began
    return {
        "events_per_s": tally.events / elapsed,
        "calls_per_s": tally.calls / elapsed,
        "errors": tally.errors,
        "samples": tally.samples,
        **_quantiles("late", tally.late_ns),
        **_quantiles("first", tally.first_ns),
        **_quantiles("last", tally.last_ns),
    }


def _quantiles(name: str, values: list[int]) -> dict[str, float]:
    if not values:
        return {}
    return {f"{name}_p50_ms": quantile(values, 0.5) / 1e6, f"{name}_p99_ms": quantile(values, 0.99) / 1e6}


def main(arguments: list[str]) -> None:
    port, connections, seconds, interval_ms, keys_file = arguments
    keys = Path(keys_file).read_text().split()
    done = uvloop.run(_load(int(port), int(connections), float(seconds), interval_ms=int(interval_ms), keys=keys))
    sys.stdout.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
