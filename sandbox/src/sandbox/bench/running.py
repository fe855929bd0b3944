"""The clients that make the load: processes of their own, on the core that the gateway does not have."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from sandbox.bench.pinning import OTHERS_CORE, pin


class Client:
    """A load in progress; its warm-up is over."""

    def __init__(self, process: Process, output: asyncio.StreamReader) -> None:
        self._process = process
        self._output = output

    async def finished(self) -> bytes:
        """Its one line of results."""
        line = await self._output.readline()
        if await self._process.wait() != 0:
            raise RuntimeError("the load did not come to its end; its own words stand above")
        return line


async def run_client(program: str, *arguments: float | str | Path, core: int = OTHERS_CORE) -> Client:
    """Start `sandbox.bench.<program>` and wait for the end of its warm-up."""
    module = f"sandbox.bench.{program}"
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *map(str, arguments), stdout=PIPE)
    pin(process.pid, core)
    assert process.stdout is not None
    await process.stdout.readline()
    return Client(process, process.stdout)
