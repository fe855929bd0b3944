"""`make demo-money`: the story of money on the whole product, months of it by a clock that is moved."""

import asyncio
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import anthropic
import httpx2
from rich.console import Console

from sandbox.addresses import PORT_COUNT, Addresses
from sandbox.demo.customer import StoryError
from sandbox.demo.money.story import MoneyStory
from sandbox.demo.screen import Screen
from sandbox.faregate import MovedFaregate
from sandbox.progress import Progress
from sandbox.stack.ports import free_port_base

CATALOGUE = Path(__file__).with_name("catalogue.toml")
SETTINGS = {
    "FAREGATE_BILLING_CATALOGUE": str(CATALOGUE),
    # A gateway tells each minute of what its journal remembers, also of a month in which nobody called.
    "FAREGATE_GATEWAY_JOURNAL_KEPT_S": "600",
}


def main(console: Console) -> int:
    """Tell the story on a product of its own; the exit code says whether all parties agreed at every step."""
    folder = Path(tempfile.mkdtemp(prefix="faregate-money-"))
    screen = Screen(console)
    screen.title("The story of money: real servers, five services, and the sandbox's Stripe, on a clock that is moved.")
    began = time.monotonic()
    try:
        asyncio.run(_told(folder, console, screen))
    except (StoryError, anthropic.APIError, httpx2.HTTPError) as error:
        screen.failed(f"{error or type(error).__name__}\nLogs: {folder / 'logs'}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    screen.title(f"The whole story in {time.monotonic() - began:.0f} s. Next: services/billing/README.md.")
    return 0


async def _told(folder: Path, console: Console, screen: Screen) -> None:
    addresses = Addresses.from_gateway_port(free_port_base(PORT_COUNT))
    async with AsyncExitStack() as running:
        with Progress(console) as progress:
            product = MovedFaregate(folder, addresses, settings=SETTINGS)
            product.supervisor.on_phase = lambda name, phase, _: progress.show(name, phase)
            await running.enter_async_context(product)
        product.supervisor.on_phase = lambda *_: None
        await MoneyStory(product, screen).tell()
