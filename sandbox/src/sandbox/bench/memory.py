"""What the gateway keeps in memory: per open stream, and over many calls."""

import asyncio
import json
from pathlib import Path
from typing import Final

from sandbox.bench.figures import Figure
from sandbox.bench.product import Measured, Say
from sandbox.bench.running import run_client

STREAMS: Final = 1000
SLOW_MS: Final = 400
LOOK_S: Final = 4.0
STREAM_KIB: Final = 60.0
CALLS: Final = 200_000
WARM_CALLS: Final = 20_000
MOST_SECONDS: Final = 30.0
CONNECTIONS: Final = 32
GROWTH: Final = 0.10
KIB: Final = 1024


async def memory_figures(measured: Measured, say: Say) -> list[Figure]:
    accounts = await measured.accounts(16, credits_amount=100_000)
    keys = measured.folder / "memory-keys"
    keys.write_text("\n".join(account.api_key for account in accounts))
    warm = await _after_calls(measured, WARM_CALLS, keys, say)
    # Before the streams: what a thousand of them took stays with the process for the next thousand.
    over_calls = await _over_calls(measured, warm, keys, say)
    return [await _per_stream(measured, keys, say), over_calls]


def _resident_kib(measured: Measured) -> float:
    return float(measured.gateway_process.memory_info().rss) / KIB


async def _per_stream(measured: Measured, keys: Path, say: Say) -> Figure:
    say(f"memory with {STREAMS} open streams")
    before = _resident_kib(measured)
    client = await run_client("paced", measured.addresses.gateway, STREAMS, LOOK_S, SLOW_MS, keys)
    open_kib = []
    for _ in range(int(LOOK_S)):
        open_kib.append(_resident_kib(measured))
        await asyncio.sleep(0.8)
    done = json.loads(await client.finished())
    if done["errors"]:
        raise RuntimeError(f"{done['errors']} streams failed, for example {done['samples'][:1]}")
    each = (max(open_kib) - before) / STREAMS
    must = f"<= {STREAM_KIB:.0f} KiB"
    return Figure("memory per open stream", each, "KiB", f"{STREAMS} streams at once", None, must, each <= STREAM_KIB)


async def _over_calls(measured: Measured, warm_kib: float, keys: Path, say: Say) -> Figure:
    after = await _after_calls(measured, CALLS, keys, say)
    growth = after / warm_kib - 1
    return Figure(
        f"memory after {CALLS:,} calls more than after {WARM_CALLS:,}",
        after / KIB,
        "MiB",
        f"{warm_kib / KIB:,.1f} MiB",
        after / warm_kib,
        f"<= {1 + GROWTH:.2f}",
        growth <= GROWTH,
    )


async def _after_calls(measured: Measured, calls: int, keys: Path, say: Say) -> float:
    say(f"memory over {calls:,} calls")
    done, seconds = 0, 5.0
    while done < calls:
        # Each client warms up by itself, so few long ones are sooner done than many short ones.
        client = await run_client("load", measured.addresses.gateway, CONNECTIONS, seconds, "json", keys)
        result = json.loads(await client.finished())
        if result["errors"]:
            raise RuntimeError(f"{result['errors']} calls failed, for example {result['samples'][:1]}")
        done += result["calls"]
        seconds = min(MOST_SECONDS, max(5.0, (calls - done) / (result["calls"] / result["seconds"])))
    return _resident_kib(measured)
