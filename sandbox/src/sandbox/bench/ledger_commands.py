"""What operators run over all of the books: `verify` and `rerate`, as processes of their own."""

import asyncio
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import psutil

from sandbox.bench.figures import Figure
from sandbox.bench.product import Measured, Say
from sandbox.price_book import sandbox_book

MUST_PER_S: Final = 50_000
MUST_BOOKED: Final = 0.4
LEAD: Final = timedelta(minutes=6)
OLD_PRICE: Final = 'input = "3", cache_write_5m = "3.75"'
NEW_PRICE: Final = 'input = "4", cache_write_5m = "3.75"'


async def command_figures(measured: Measured, applied_per_s: float, say: Say) -> list[Figure]:
    """Over what was booked by events so far, since only that is whole."""
    env = psutil.Process(measured.supervisor.pid_of("ledger")).environ()
    say("ledger: verify")
    report, took_s = await _ran(env, "verify", "--json")
    rate = report["charges"] / took_s
    holds = rate >= MUST_PER_S and bool(report["sound"])
    figures = [_per_s("verify", rate, holds=holds)]
    say("ledger: rate again, dry and booked")
    version = await _published(measured.folder, env)
    span = ("--from", _said(-timedelta(days=1)), "--to", _said(timedelta(days=1)), "--price-book", version, "--json")
    dry, took_s = await _ran(env, "rerate", *span, "--dry-run")
    rate = dry["charges"] / took_s
    figures.append(_per_s("rerate --dry-run", rate, holds=rate >= MUST_PER_S))
    booked, took_s = await _ran(env, "rerate", *span)
    rate = booked["corrected"] / took_s
    ratio = rate / applied_per_s
    against, must = f"applied {applied_per_s:,.0f} events/s", f">= {MUST_BOOKED}"
    return [*figures, Figure("ledger: rerate, booked", rate, "charges/s", against, ratio, must, ratio >= MUST_BOOKED)]


def _per_s(name: str, rate: float, *, holds: bool) -> Figure:
    against, must = "less the start of a process", f">= {MUST_PER_S}"
    return Figure(f"ledger: {name}", rate, "charges/s", against, rate / MUST_PER_S, must, holds)


def _said(ahead: timedelta) -> str:
    return (datetime.now(UTC) + ahead).isoformat()


async def _published(folder: Path, env: Mapping[str, str]) -> str:
    """A price book with one more price: its version."""
    path = folder / "dearer.toml"
    path.write_text(sandbox_book().replace(OLD_PRICE, NEW_PRICE))
    output = await _output(env, "price-book", "publish", str(path), "--effective-at", _said(LEAD))
    return output.split()[1]


async def _ran(env: Mapping[str, str], *arguments: str) -> tuple[Any, float]:
    """A command's report, and the seconds that it took beyond the start of a process."""
    began = time.perf_counter()
    await _output(env, "--help")
    started = time.perf_counter()
    output = await _output(env, *arguments)
    return orjson.loads(output), (time.perf_counter() - started) - (started - began)


async def _output(env: Mapping[str, str], *arguments: str) -> str:
    command = (sys.executable, "-m", "ledger", *arguments)
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, env=dict(env), stdout=pipe, stderr=nowhere)
    output, _ = await process.communicate()
    return output.decode()
