"""Reading on while the last page is worked on: the database looks for the next one meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def read_ahead(pages: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """What `pages` gives, fetched one ahead; close it when leaving early, so that the read ends."""
    coming = asyncio.ensure_future(anext(pages, None))
    try:
        while (page := await coming) is not None:
            coming = asyncio.ensure_future(anext(pages, None))
            # The fetch is sent before the page is worked on, which may take a while without a turn of the loop.
            await asyncio.sleep(0)
            yield page
    finally:
        coming.cancel()
        await asyncio.wait({coming})
        await pages.aclose()
