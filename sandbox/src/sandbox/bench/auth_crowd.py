"""Users of auth, each on a network of its own, as behind a proxy, so that no limit of one network is met."""

import asyncio
from itertools import count
from typing import Any, Final
from uuid import uuid4

import httpx2

PASSWORD: Final = "correct horse battery"  # noqa: S105  # of users that live for a minute
AT_ONCE: Final = 8


class People:
    """Makes them, a few at a time."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self._numbers = count(1)
        self._door = asyncio.Semaphore(AT_ONCE)

    async def join(self) -> "Person":
        number = next(self._numbers)
        network = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        person = Person(self.http, f"bench-{uuid4().hex}@example.com", network)
        async with self._door:
            await person.post("/auth/register", {"email": person.address, "password": PASSWORD})
        return person


class Person:
    def __init__(self, http: httpx2.AsyncClient, address: str, network: str) -> None:
        self.http, self.address, self.network = http, address, network

    async def post(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        answer = await self.http.post(path, json=body, headers={"x-forwarded-for": self.network})
        return dict(answer.raise_for_status().json())

    async def login(self) -> dict[str, Any]:
        return await self.post("/auth/login", {"email": self.address, "password": PASSWORD})
