"""`make bench`: measure, print ratios, write build/bench.json; exit 1 when a must is missed."""

import asyncio
import sys
import tempfile
from pathlib import Path

from sandbox.bench.figures import Figure, report
from sandbox.bench.gateway import gateway_figures
from sandbox.bench.latency import latency_figures
from sandbox.bench.ledger import ledger_figures
from sandbox.bench.product import measured_product


def _say(text: str) -> None:
    sys.stdout.write(f"bench: {text}\n")
    sys.stdout.flush()


async def _measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as folder:
        _say("bringing the product up")
        async with measured_product(Path(folder)) as measured:
            return [
                *await latency_figures(measured, _say),
                *await gateway_figures(measured, _say),
                *await ledger_figures(measured, _say),
            ]


if __name__ == "__main__":
    raise SystemExit(0 if report(asyncio.run(_measure()), Path("build/bench.json")) else 1)
