"""The whole product for measuring: in a temporary folder, on free ports, with a provider that costs nothing."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from sandbox.accounts import Account
from sandbox.addresses import PORT_COUNT, Addresses
from sandbox.bench.certificate import make_certificate
from sandbox.bench.pinning import GATEWAY_CORE, OTHERS_CORE, pin
from sandbox.faregate import Faregate
from sandbox.stack.ports import free_port_base, free_ports

Say = Callable[[str], None]

BESIDE_THE_CALL: Final = ("ledger", "billing", "notifier")

# Limits are on, and so high that a load on one core never meets them.
CATALOGUE: Final = """
format = 1
currency = "usd"

[plans.measured]
name = "Measured"
default = true
price = "0"
allowances = [{ rule = "trial", credits = "5", valid_days = 14 }]
limits = { requests_per_minute = 100000000, tokens_per_minute = 1000000000, concurrency = 100000 }

[plans.measured_monthly]
name = "Measured, by the month"
price = "20"
interval = "month"
allowances = [{ rule = "period", credits = "20" }]

[bundles.measured_10]
name = "Measured bundle"
price = "10"
credits = "10"
valid_days = 365
"""


class Measured(Faregate):
    """A running product in front of a provider that answers at once."""

    upstream_port: int
    upstream_is_tls: bool = False

    @property
    def gateway_process(self) -> psutil.Process:
        return psutil.Process(self.supervisor.pid_of("gateway"))

    @contextmanager
    def gateway_alone(self) -> Iterator[None]:
        """The services that are not part of a call stand still, else they take the core of Redis and Kafka.

        In production they have machines of their own; what the ledger costs is a figure of its own.
        """
        with self.standing_still(*BESIDE_THE_CALL):
            yield

    @contextmanager
    def standing_still(self, *names: str) -> Iterator[None]:
        """Whoever is no part of what is measured."""
        others = [psutil.Process(self.supervisor.pid_of(name)) for name in names]
        for process in others:
            process.suspend()
        try:
            yield
        finally:
            for process in others:
                process.resume()

    @asynccontextmanager
    async def bare_call(self) -> AsyncIterator[tuple[int, psutil.Process]]:
        """Port and process of a bare paid call in the gateway's place, between the same servers; the gateway rests."""
        (port,) = free_ports(1)
        servers = str(self.upstream_port), self.stack.redis_url, self.stack.kafka_bootstrap
        with self.standing_still("gateway"):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sandbox.bench.bare_call", str(port), *servers, stdout=PIPE
            )
            try:
                assert process.stdout is not None
                if await process.stdout.readline() != b"ready\n":
                    raise RuntimeError("the bare call did not start; its own words stand above")
                pin(process.pid, GATEWAY_CORE)
                yield port, psutil.Process(process.pid)
            finally:
                with suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()

    async def accounts(self, count: int, *, credits_amount: int) -> list[Account]:
        return [await self.make_account(credits_amount=str(credits_amount)) for _ in range(count)]


@asynccontextmanager
async def measured_product(folder: Path, *, tls: bool = False, workers: int = 1) -> AsyncIterator[Measured]:
    """Up, with the gateway on one core and everything else on the other; `tls` is about the way to the provider.

    Several workers are pinned each to a core of its own, from the first on, everything else behind them.
    """
    (upstream_port,) = free_ports(1)
    settings = {"FAREGATE_LOG_LEVEL": "WARNING", "FAREGATE_GATEWAY_WORKERS": str(workers)}
    catalogue = folder / "catalogue.toml"
    catalogue.write_text(CATALOGUE)
    settings |= {"FAREGATE_BILLING_CATALOGUE": str(catalogue), "FAREGATE_BILLING_SELL_AT_A_LOSS": "true"}
    files: tuple[str, ...] = ()
    if tls:
        made = make_certificate(folder)
        files = (str(made.certificate), str(made.key))
        settings["FAREGATE_GATEWAY_UPSTREAM_CA_FILE"] = str(made.certificate)
    settings["FAREGATE_ANTHROPIC_BASE_URL"] = f"{'https' if tls else 'http'}://127.0.0.1:{upstream_port}"
    upstream = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.bench.upstream", str(upstream_port), *files
    )
    addresses = Addresses.from_gateway_port(free_port_base(PORT_COUNT))
    try:
        async with Measured(folder, addresses, settings=settings) as measured:
            measured.upstream_port = upstream_port
            measured.upstream_is_tls = tls
            others = max(OTHERS_CORE, workers)
            pin(upstream.pid, others)
            for name in measured.supervisor.names:
                pin(measured.supervisor.pid_of(name), GATEWAY_CORE if name == "gateway" else others)
            for number, worker in enumerate(measured.gateway_process.children()):
                pin(worker.pid, GATEWAY_CORE + number)
            yield measured
    finally:
        upstream.terminate()
        await upstream.wait()
