"""The task that keeps the link to Kafka outlives whatever happens to a link."""

import asyncio
import time
from contextlib import suppress

from gateway.usage import links as links_module
from gateway.usage.links import Links


class Link:
    """Closed once it was doubted; asked for a sign of life after that, it fails in a way that nobody expects."""

    def __init__(self) -> None:
        self.is_closed = False

    async def probe(self) -> None:
        assert not self.is_closed

    async def close(self) -> None:
        self.is_closed = True


class Reachable(Links):
    """Links whose Kafka is always there."""

    async def connect(self) -> None:
        if self.link is None:
            self._doubted.clear()
            self.link = Link()


async def test_a_link_that_is_doubted_as_it_is_about_to_be_probed_is_replaced() -> None:
    links, loop = Reachable("127.0.0.1:1", client_id="test"), asyncio.get_running_loop()
    keeping = asyncio.create_task(links.run())
    await asyncio.sleep(0)
    doubted = links.link
    loop.call_later(links_module._PROBE_S, links.doubt, "the publisher's")
    # Both timers are due in one turn of the loop.
    time.sleep(links_module._PROBE_S + 0.05)  # noqa: ASYNC251

    async with asyncio.timeout(5):
        while links.link in {None, doubted} and not keeping.done():  # noqa: ASYNC110  # what the task does
            await asyncio.sleep(0.01)

    assert not keeping.done(), keeping.exception()
    assert links.link not in {None, doubted}
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
