"""The whole product, as `make run` starts it, on free ports and in a temporary folder."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from rich.console import Console
from tests.e2e.fleet import Fleet

from sandbox.addresses import PORT_COUNT, Addresses
from sandbox.demo.customer import Customer
from sandbox.faregate import Faregate
from sandbox.stack.ports import free_port_base
from sandbox.testing import temporary_folder

# Beside what is shipped a plan to change to.
SHIPPED = Path(__file__).parents[2] / "services/billing/src/billing/catalogue.toml"
TEAM = """
[plans.team]
name = "Team"
price = "60"
interval = "month"
allowances = [{ rule = "period", credits = "60" }]
"""
# Short, so that a hold whose gateway died is swept while the test waits.
PATIENCE = {"FAREGATE_GATEWAY_HOLD_PATIENCE_S": "4"}


class Product(Faregate):
    """A running Faregate with a customer at its door."""

    def customer(self) -> Customer:
        return Customer(self.url, self.mailbox_url)

    async def refund(self, payment_intent: str) -> None:
        """Refund a payment whole, as an operator would in Stripe's dashboard."""
        headers = {"authorization": f"Bearer {self.credentials.stripe_secret_key}"}
        async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
            url = f"{self.addresses.url('stripe')}/v1/refunds"
            (await http.post(url, data={"payment_intent": payment_intent})).raise_for_status()

    def all_logs(self) -> str:
        return "".join(path.read_text(errors="replace") for path in self.logs.glob("*.log"))


@pytest.fixture(scope="session")
async def product() -> AsyncIterator[Product]:
    addresses = Addresses.from_gateway_port(free_port_base(PORT_COUNT))
    with temporary_folder() as folder:
        catalogue = folder / "catalogue.toml"
        catalogue.write_text(SHIPPED.read_text() + TEAM)
        made = Product(folder, addresses, settings={**PATIENCE, "FAREGATE_BILLING_CATALOGUE": str(catalogue)})
        made.stack.for_tests()
        async with made as running:
            yield running


@pytest.fixture(scope="session")
async def fleet() -> AsyncIterator[Fleet]:
    addresses = Addresses.from_gateway_port(free_port_base(PORT_COUNT))
    with temporary_folder() as folder:
        made = Fleet(folder, addresses)
        made.stack.for_tests()
        async with made as running:
            yield running


@pytest.fixture
def silent() -> Console:
    return Console(file=Path(os.devnull).open("w"), force_terminal=False)  # lives as long as the test
