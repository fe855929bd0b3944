"""The whole product for measuring: in a temporary folder, on free ports, with a provider that costs nothing."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from sandbox.accounts import Account, PublicApi, make_account
from sandbox.addresses import PORT_COUNT, Addresses
from sandbox.bench.pinning import GATEWAY_CORE, OTHERS_CORE, pin
from sandbox.credentials import Credentials
from sandbox.selection import without_real_keys
from sandbox.stack.ports import free_port_base, free_ports
from sandbox.supervisor import Supervisor
from sandbox.welcome import introduce

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """A running product."""

    folder: Path
    addresses: Addresses
    supervisor: Supervisor
    upstream_port: int

    @property
    def gateway_process(self) -> psutil.Process:
        return psutil.Process(self.supervisor.pid_of("gateway"))

    async def accounts(self, count: int, *, credits_amount: int) -> list[Account]:
        operator = Credentials.kept_in(self.folder).operator
        async with PublicApi(self.addresses.url("gateway")) as api:
            return [
                await make_account(api, operator=operator, credits_amount=str(credits_amount)) for _ in range(count)
            ]


@asynccontextmanager
async def measured_product(folder: Path) -> AsyncIterator[Measured]:
    """Up, with the gateway on one core and everything else on the other."""
    (upstream_port,) = free_ports(1)
    upstream = await asyncio.create_subprocess_exec(sys.executable, "-m", "sandbox.bench.upstream", str(upstream_port))
    addresses = Addresses.from_gateway_port(free_port_base(PORT_COUNT))
    env = {
        **without_real_keys(os.environ),
        "FAREGATE_ANTHROPIC_BASE_URL": f"http://127.0.0.1:{upstream_port}",
        "FAREGATE_LOG_LEVEL": "WARNING",
    }
    supervisor = Supervisor.of(folder, addresses=addresses, user_env=env, on_phase=lambda *_: None)
    try:
        await supervisor.start()
        await introduce(supervisor, addresses.url("gateway"))
        pin(upstream.pid, OTHERS_CORE)
        for name in supervisor.names:
            pin(supervisor.pid_of(name), GATEWAY_CORE if name == "gateway" else OTHERS_CORE)
        yield Measured(folder, addresses, supervisor, upstream_port)
    finally:
        await supervisor.stop()
        upstream.terminate()
        await upstream.wait()
