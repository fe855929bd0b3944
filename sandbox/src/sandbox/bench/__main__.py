"""`make bench`: measure, print ratios, write build/bench.json; exit 1 when a must is missed.

python -m sandbox.bench [latency|gateway|streams|memory|known|notices|webhooks|ledger|auth|ledger-large|tls|scaling]...

All but `ledger-large` and `auth-many` when none is named. One of the ledger's figures alone: ledger-rate, ledger-hot,
ledger-visible, ledger-commands, ledger-large-reads, ledger-large-many, ledger-large-behind; of auth's: auth-login,
auth-check, auth-refresh, auth-me, auth-many.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from sandbox.bench import auth
from sandbox.bench.auth import auth_figures
from sandbox.bench.figures import Figure, report
from sandbox.bench.gateway import gateway_figures
from sandbox.bench.known import known_figures
from sandbox.bench.latency import latency_figures
from sandbox.bench.ledger import FIGURES, LARGE_FIGURES, large_ledger_figures, ledger_figures
from sandbox.bench.memory import memory_figures
from sandbox.bench.notices import notice_figures
from sandbox.bench.product import Measured, Say, measured_product
from sandbox.bench.scaling import scaling_figures
from sandbox.bench.streams import stream_figures
from sandbox.bench.webhooks import webhook_figures


def _say(text: str) -> None:
    sys.stdout.write(f"bench: {text}\n")
    sys.stdout.flush()


Part = Callable[[Measured, Say], Awaitable[list[Figure]]]
PARTS: Final[dict[str, Part]] = {
    "latency": latency_figures,
    "gateway": gateway_figures,
    "streams": stream_figures,
    "memory": memory_figures,
    "known": known_figures,
    "notices": notice_figures,
    "webhooks": webhook_figures,
    "ledger": ledger_figures,
    "auth": auth_figures,
}
NAMED: Final[dict[str, Part]] = {
    "ledger-large": large_ledger_figures,
    **{f"ledger-{name}": partial(ledger_figures, only=(name,)) for name in FIGURES},
    **{f"ledger-large-{name}": partial(large_ledger_figures, only=(name,)) for name in LARGE_FIGURES},
}
"""What takes many minutes, or is a part of another, is measured when it is named."""
TLS: Final = "tls"
SCALING: Final = "scaling"


async def _measure(parts: Sequence[str]) -> list[Figure]:
    figures = await _measure_product([PARTS[part] for part in parts if part in PARTS])
    for part in NAMED:
        figures += await _measure_product([NAMED[part]]) if part in parts else []
    of_auth = [name for name in auth.FIGURES if f"auth-{name}" in parts]
    figures += await _measure_product([partial(auth_figures, only=of_auth)]) if of_auth else []
    figures += await _measure_tls() if TLS in parts else []
    return figures + (await scaling_figures(_say) if SCALING in parts else [])


async def _measure_product(parts: Sequence[Part]) -> list[Figure]:
    if not parts:
        return []
    with tempfile.TemporaryDirectory(prefix="faregate-bench-", ignore_cleanup_errors=True) as folder:
        _say("bringing the product up")
        async with measured_product(Path(folder)) as measured:
            return [figure for part in parts for figure in _told(await part(measured, _say))]


def _told(figures: list[Figure]) -> list[Figure]:
    """Said at once: what comes later may fail, and takes minutes."""
    for one in figures:
        _say(f"{one.name}: {one.value:,.2f} {one.unit} ({one.against})")
    return figures


async def _measure_tls() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="faregate-bench-", ignore_cleanup_errors=True) as folder:
        _say("bringing the product up, with TLS to the provider")
        async with measured_product(Path(folder), tls=True) as measured:
            return await gateway_figures(measured, _say)


def main(parts: Sequence[str]) -> int:
    usual = [*PARTS, TLS, SCALING]
    known = [*usual, *NAMED, *(f"auth-{name}" for name in auth.FIGURES)]
    unknown = set(parts) - set(known)
    if unknown:
        sys.stderr.write(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}\n")
        return 2
    return 0 if report(asyncio.run(_measure(parts or usual)), Path("build/bench.json")) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
