"""Paced streams through the gateway, beside the same streams read from the provider directly and through nginx."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sandbox.bench.figures import Figure
from sandbox.bench.nginx import installed, running_nginx
from sandbox.bench.pinning import GATEWAY_CORE
from sandbox.bench.product import Measured, Say
from sandbox.bench.running import run_client

SECONDS: Final = 6.0
INTERVAL_MS: Final = 20
ACCOUNTS: Final = 16
MANY: Final = 1000
SOME: Final = 400
FEW: Final = 100
EVENTS_SHARE: Final = 0.95
LATE_P99_MS: Final = 60.0
FIRST_MS: Final = (3.0, 12.0)
LAST_P99_MS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Beside:
    """The same run read directly, through the gateway, and through nginx where there is one."""

    direct: dict[str, Any]
    ours: dict[str, Any]
    limit: dict[str, Any] | None

    def against(self, name: str, unit: str) -> str:
        through = "" if self.limit is None else f", nginx {self.limit[name]:,.1f} {unit}"
        return f"direct {self.direct[name]:,.1f} {unit}{through}"


async def stream_figures(measured: Measured, say: Say) -> list[Figure]:
    accounts = await measured.accounts(ACCOUNTS, credits_amount=10_000)
    keys = measured.folder / "stream-keys"
    keys.write_text("\n".join(account.api_key for account in accounts))
    say(f"{MANY} streams through the gateway, not counted: a new Kafka compiles itself for some seconds")
    await _run(measured, measured.addresses.gateway, MANY, keys=keys)
    many, some, few = [await _beside(measured, count, keys, say) for count in (MANY, SOME, FEW)]
    return [*_throughput(many), *_first_byte(some), _last_byte(few)]


async def _beside(measured: Measured, connections: int, keys: Path, say: Say) -> Beside:
    async def run(port: int, through: str) -> dict[str, Any]:
        say(f"{connections} streams, an event every {INTERVAL_MS} ms, {through}, for {SECONDS:.0f} s")
        return await _run(measured, port, connections, keys=keys)

    direct = await run(measured.upstream_port, "directly")
    ours = await run(measured.addresses.gateway, "through the gateway")
    if installed() is None:
        return Beside(direct, ours, None)
    with running_nginx(measured.upstream_port, measured.folder / "nginx", core=GATEWAY_CORE) as (port, _):
        return Beside(direct, ours, await run(port, "through nginx"))


async def _run(measured: Measured, port: int, connections: int, *, keys: Path) -> dict[str, Any]:
    client = await run_client("paced", port, connections, SECONDS, INTERVAL_MS, keys)
    # Everybody has the second core to itself: the direct client and nginx, too.
    with measured.gateway_alone():
        done: dict[str, Any] = json.loads(await client.finished())
    if done["errors"]:
        raise RuntimeError(f"{done['errors']} streams failed, for example {done['samples'][:1]}")
    return done


def _throughput(many: Beside) -> list[Figure]:
    share = many.ours["events_per_s"] / many.direct["events_per_s"]
    late = many.ours["late_p99_ms"]
    return [
        Figure(
            f"{MANY} streams: events/s on one core",
            many.ours["events_per_s"],
            "events/s",
            many.against("events_per_s", "events/s"),
            share,
            f">= {EVENTS_SHARE}",
            share >= EVENTS_SHARE,
        ),
        Figure(
            f"{MANY} streams: lateness of an event, p99",
            late,
            "ms",
            many.against("late_p99_ms", "ms"),
            late / many.direct["late_p99_ms"],
            f"<= {LATE_P99_MS:.0f} ms",
            late <= LATE_P99_MS,
        ),
    ]


def _first_byte(some: Beside) -> list[Figure]:
    figures = []
    for name, must_ms in zip(("first_p50_ms", "first_p99_ms"), FIRST_MS, strict=True):
        added = some.ours[name] - some.direct[name]
        figures.append(
            Figure(
                f"{SOME} streams: first byte later than directly, {name[6:9]}",
                added,
                "ms",
                some.against(name, "ms"),
                some.ours[name] / some.direct[name],
                f"<= {must_ms:.0f} ms",
                added <= must_ms,
            )
        )
    return figures


def _last_byte(few: Beside) -> Figure:
    added = few.ours["last_p99_ms"] - few.direct["last_p99_ms"]
    return Figure(
        f"{FEW} streams: last byte later than directly, p99",
        added,
        "ms",
        few.against("last_p99_ms", "ms"),
        few.ours["last_p99_ms"] / few.direct["last_p99_ms"],
        f"<= {LAST_P99_MS:.0f} ms",
        added <= LAST_P99_MS,
    )
