"""The whole product, as `make run` starts it, on free ports and in a temporary folder."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from rich.console import Console

from sandbox.accounts import Account, PublicApi, make_account
from sandbox.addresses import PORT_COUNT, Addresses
from sandbox.credentials import Credentials
from sandbox.demo.customer import Customer
from sandbox.selection import without_real_keys
from sandbox.stack.ports import free_port_base
from sandbox.supervisor import Supervisor
from sandbox.welcome import introduce

# Short, so that a hold whose gateway died is swept while the test waits.
PATIENCE_S = "4"


@dataclass(frozen=True)
class Product:
    """A running Faregate and where its parts listen."""

    folder: Path
    addresses: Addresses
    supervisor: Supervisor
    credentials: Credentials

    @property
    def url(self) -> str:
        return self.addresses.url("gateway")

    def customer(self) -> Customer:
        return Customer(self.url, self.addresses.url("mailbox"))

    async def account(self, credits_amount: str = "0") -> Account:
        """A customer with an API key and, beyond the trial, these credits by an operator's adjustment."""
        async with PublicApi(self.url) as api:
            return await make_account(api, operator=self.credentials.operator, credits_amount=credits_amount)

    async def operator_token(self) -> str:
        async with PublicApi(self.url) as api:
            return await api.log_in(self.credentials.operator)

    async def refund(self, payment_intent: str) -> None:
        """Refund a payment whole, as an operator would in Stripe's dashboard."""
        headers = {"authorization": f"Bearer {self.credentials.stripe_secret_key}"}
        async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
            url = f"{self.addresses.url('stripe')}/v1/refunds"
            (await http.post(url, data={"payment_intent": payment_intent})).raise_for_status()

    def logs(self) -> str:
        return "".join(path.read_text(errors="replace") for path in (self.folder / "logs").glob("*.log"))


@pytest.fixture(scope="session")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    folder = tmp_path_factory.mktemp("product")
    addresses = Addresses.from_gateway_port(free_port_base(PORT_COUNT))
    env = {**without_real_keys(os.environ), "FAREGATE_GATEWAY_HOLD_PATIENCE_S": PATIENCE_S}
    supervisor = Supervisor.of(folder, addresses=addresses, user_env=env, on_phase=lambda *_: None)
    await supervisor.start()
    try:
        await introduce(supervisor, addresses.url("gateway"))
        yield Product(folder, addresses, supervisor, Credentials.kept_in(folder))
    finally:
        await supervisor.stop()


@pytest.fixture
def silent() -> Console:
    return Console(file=Path(os.devnull).open("w"), force_terminal=False)  # lives as long as the test
