"""Calls per second and CPU per paid call on one core, beside nginx that proxies the same calls."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import psutil

from sandbox.bench.figures import Figure
from sandbox.bench.nginx import installed, running_nginx
from sandbox.bench.pinning import GATEWAY_CORE, OTHERS_CORE, can_pin, cpu_s, pin
from sandbox.bench.product import Measured, Say

CONNECTIONS: Final = 32
SECONDS: Final = 6.0
ACCOUNTS: Final = 16

Kind = Literal["json", "stream"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the load against one server."""

    calls_per_s: float
    cpu_us: float


async def gateway_figures(measured: Measured, say: Say) -> list[Figure]:
    accounts = await measured.accounts(ACCOUNTS, credits_amount=10_000)
    keys = measured.folder / "keys"
    keys.write_text("\n".join(account.api_key for account in accounts))
    figures = []
    for kind in ("json", "stream"):
        say(f"gateway, {kind}: {CONNECTIONS} connections for {SECONDS:.0f} s")
        ours = await _run(measured.addresses.gateway, kind, keys, [measured.gateway_process])
        limit = await _nginx(measured, kind, keys, say)
        figures += _compared(kind, ours, limit)
    return figures


async def _nginx(measured: Measured, kind: Kind, keys: Path, say: Say) -> Run | None:
    if installed() is None:
        return None
    say(f"nginx, {kind}: the same")
    with running_nginx(measured.upstream_port, measured.folder / "nginx", core=GATEWAY_CORE) as (port, workers):
        return await _run(port, kind, keys, workers)


async def _run(port: int, kind: Kind, keys: Path, processes: Sequence[psutil.Process]) -> Run:
    load = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sandbox.bench.load",
        str(port),
        str(CONNECTIONS),
        str(SECONDS),
        kind,
        str(keys),
        stdout=asyncio.subprocess.PIPE,
    )
    pin(load.pid, OTHERS_CORE)
    assert load.stdout is not None
    await load.stdout.readline()
    before = cpu_s(processes)
    await asyncio.sleep(SECONDS)
    used = cpu_s(processes) - before
    done = json.loads(await load.stdout.readline())
    await load.wait()
    if done["errors"]:
        raise RuntimeError(f"{done['errors']} calls failed, for example {done['samples'][:1]}")
    rate = done["calls"] / done["seconds"]
    return Run(rate, used / SECONDS / rate * 1e6)


def _compared(kind: Kind, ours: Run, limit: Run | None) -> list[Figure]:
    pinned = "" if can_pin() else ", not pinned: this system cannot"
    if limit is None:
        against = "nginx is not installed: no ratio"
        return [
            Figure(f"gateway {kind}: calls/s on one core", ours.calls_per_s, "calls/s", against + pinned),
            Figure(f"gateway {kind}: CPU per paid call", ours.cpu_us, "us", against + pinned),
        ]
    rate = Figure(
        f"gateway {kind}: calls/s on one core",
        ours.calls_per_s,
        "calls/s",
        f"nginx {limit.calls_per_s:,.0f} calls/s{pinned}",
        ours.calls_per_s / limit.calls_per_s,
    )
    cost = Figure(
        f"gateway {kind}: CPU per paid call",
        ours.cpu_us,
        "us",
        f"nginx {limit.cpu_us:,.1f} us{pinned}",
        ours.cpu_us / limit.cpu_us,
    )
    return [rate, cost]
