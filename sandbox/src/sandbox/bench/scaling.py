"""What more worker processes bring on one port; it needs cores for the load too, or the load would be measured."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Final

import psutil

from sandbox.bench.figures import Figure
from sandbox.bench.gateway import ACCOUNTS, CONNECTIONS, SECONDS
from sandbox.bench.pinning import can_pin
from sandbox.bench.product import Say, measured_product
from sandbox.bench.running import run_client

CORES: Final = 6
WORKERS: Final = 2
_LOAD_CORES: Final = (4, 5)
_TITLE: Final = f"gateway json: calls/s of {WORKERS} workers on {WORKERS} cores"


async def scaling_figures(say: Say) -> list[Figure]:
    """Beside one worker under the same load."""
    cores = psutil.cpu_count() or 1
    if cores < CORES or not can_pin():
        return [Figure(_TITLE, 0, "calls/s", f"not measured: {cores} cores, needs {CORES}")]
    one, many = await _calls_per_s(1, say), await _calls_per_s(WORKERS, say)
    return [Figure(_TITLE, many, "calls/s", f"1 worker {one:,.0f} calls/s", many / one)]


async def _calls_per_s(workers: int, say: Say) -> float:
    with tempfile.TemporaryDirectory(prefix="faregate-bench-", ignore_cleanup_errors=True) as folder:
        say(f"bringing the product up, with a gateway of {workers} workers")
        async with measured_product(Path(folder), workers=workers) as measured:
            accounts = await measured.accounts(ACCOUNTS, credits_amount=10_000)
            keys = measured.folder / "keys"
            keys.write_text("\n".join(account.api_key for account in accounts))
            port = measured.addresses.gateway
            say(f"scaling: {workers} workers for {SECONDS:.0f} s")
            rates = await asyncio.gather(*(_load(port, keys, core=core) for core in _LOAD_CORES))
    return sum(rates)


async def _load(port: int, keys: Path, *, core: int) -> float:
    client = await run_client("load", port, CONNECTIONS, SECONDS, "json", keys, core=core)
    done = json.loads(await client.finished())
    if done["errors"]:
        raise RuntimeError(f"{done['errors']} calls failed, for example {done['samples'][:1]}")
    return float(done["calls"] / done["seconds"])
