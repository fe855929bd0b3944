"""The table that `status` shows."""

import asyncio

import httpx2
import psutil
from rich.console import Console
from rich.table import Table

from sandbox.environment import SERVICES
from sandbox.state import Part, Running

TIMEOUT_S = 5.0
MEGABYTE = 1_000_000


async def show(console: Console, running: Running) -> bool:
    """True when every part is well."""
    async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as http:
        names = list(running.parts)
        states = await asyncio.gather(*(_state(http, name, running.parts[name]) for name in names))
    table = Table(box=None, pad_edge=False)
    for heading in ("part", "state", "process", "memory", "address"):
        table.add_column(heading)
    total = 0
    for name, state in zip(names, states, strict=True):
        part = running.parts[name]
        memory = _memory(part.pid)
        total += memory
        table.add_row(name, state, str(part.pid or "elsewhere"), f"{memory // MEGABYTE} MB", part.url or "")
    total += _memory(running.pid, with_children=False)
    console.print(table)
    console.print(f"\n{running.public_url} is {running.status}; {total // MEGABYTE} MB in all", highlight=False)
    for party, selected in running.selected.items():
        console.print(f"{party}: {selected}", highlight=False, soft_wrap=True)
    return running.status == "ready" and all(state == "ready" for state in states)


async def _state(http: httpx2.AsyncClient, name: str, part: Part) -> str:
    if part.phase != "ready" or name not in SERVICES:
        return part.phase
    try:
        answer = await http.get(f"http://{part.url}/health/ready")
    except httpx2.HTTPError as error:
        return f"does not answer ({type(error).__name__})"
    if answer.is_success:
        return "ready"
    failing: dict[str, str] = answer.json().get("failing", {})
    return "not ready: " + ", ".join(f"{check} ({reason})" for check, reason in failing.items())


def _memory(pid: int | None, *, with_children: bool = True) -> int:
    """What is its own; pages that processes share count for none of them where the system tells."""
    if pid is None:
        return 0
    try:
        process = psutil.Process(pid)
        family = [process, *(process.children(recursive=True) if with_children else [])]
        return sum(_own_memory(member) for member in family)
    except psutil.Error:
        return 0


def _own_memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
