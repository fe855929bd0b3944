"""Users of auth, each on a network of its own, as behind a proxy, so that no limit of one network is met."""

import asyncio
from itertools import count
from typing import Any, Final
from uuid import uuid4

from sandbox.bench.auth_door import Door

PASSWORD: Final = "correct horse battery"  # noqa: S105  # of users that live for a minute
AT_ONCE: Final = 8


class People:
    """Makes them, a few at a time."""

    def __init__(self, auth: Door) -> None:
        self.auth = auth
        self._numbers = count(1)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def join(self) -> "Person":
        number = next(self._numbers)
        network = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        person = Person(self.auth, f"bench-{uuid4().hex}@example.com", network)
        async with self._turns:
            await person.post("/auth/register", {"email": person.address, "password": PASSWORD})
        return person


class Person:
    def __init__(self, auth: Door, address: str, network: str) -> None:
        self.auth, self.address, self.network = auth, address, network

    async def post(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        return await self.auth.post(path, body, {"x-forwarded-for": self.network})

    async def login(self) -> dict[str, Any]:
        return await self.post("/auth/login", {"email": self.address, "password": PASSWORD})
