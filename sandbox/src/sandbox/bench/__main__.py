"""`make bench`: measure, print ratios, write build/bench.json; exit 1 when a must is missed.

python -m sandbox.bench [latency] [gateway] [ledger]      all of them when none is named
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sandbox.bench.figures import Figure, report
from sandbox.bench.gateway import gateway_figures
from sandbox.bench.latency import latency_figures
from sandbox.bench.ledger import ledger_figures
from sandbox.bench.product import measured_product


def _say(text: str) -> None:
    sys.stdout.write(f"bench: {text}\n")
    sys.stdout.flush()


PARTS: Final = {"latency": latency_figures, "gateway": gateway_figures, "ledger": ledger_figures}


async def _measure(parts: Sequence[str]) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="faregate-bench-", ignore_cleanup_errors=True) as folder:
        _say("bringing the product up")
        async with measured_product(Path(folder)) as measured:
            return [figure for part in parts for figure in await PARTS[part](measured, _say)]


def main(parts: Sequence[str]) -> int:
    unknown = set(parts) - PARTS.keys()
    if unknown:
        sys.stderr.write(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}\n")
        return 2
    return 0 if report(asyncio.run(_measure(parts or list(PARTS))), Path("build/bench.json")) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
