"""`make demo`: the whole story in a terminal, in under a minute."""

import asyncio
import time

import anthropic
import httpx2

from sandbox.demo.customer import Customer, StoryError
from sandbox.demo.screen import Screen
from sandbox.demo.story import tell


def main(*, gateway_url: str, mailbox_url: str) -> int:
    """Tell the story against a running sandbox; the exit code says whether every step happened."""
    screen = Screen()
    screen.title(f"Faregate at {gateway_url}\nThe model provider, Stripe and the mailbox are the sandbox's stand-ins.")
    began = time.monotonic()
    try:
        asyncio.run(tell(Customer(gateway_url, mailbox_url), screen))
    except (StoryError, anthropic.APIError, httpx2.HTTPError) as error:
        screen.failed(str(error) or type(error).__name__)
        return 1
    screen.title(f"The whole story in {time.monotonic() - began:.0f} s. Next: README.md.")
    return 0
