"""What auth costs: signing in, refreshing, one's own page, tokens elsewhere; with few users and with a million."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import asyncpg
import psutil

from sandbox.bench.auth_checking import check_figures
from sandbox.bench.auth_crowd import People
from sandbox.bench.auth_door import Door
from sandbox.bench.auth_people import connect, make_people
from sandbox.bench.auth_reading import Reading, flat_figures, me_figure, reading, refresh_figure
from sandbox.bench.auth_signing_in import SIGNING_IN, login_figures
from sandbox.bench.figures import Figure
from sandbox.bench.pinning import GATEWAY_CORE, pin
from sandbox.bench.product import BESIDE_THE_CALL, Measured, Say
from sandbox.programs import SERVERS

USUALLY: Final = ("login", "check", "refresh", "me")
FIGURES: Final = (*USUALLY, "many")
"""A million users take minutes to be made, so they are measured when they are named."""
FEW: Final = 1_000
MANY: Final = int(os.environ.get("FAREGATE_BENCH_USERS", "1000000"))


@dataclass
class Asked:
    """Auth, who asks it, and those who are there meanwhile: made when the first figure wants so many."""

    auth: psutil.Process
    servers: list[int]
    people: People
    connection: asyncpg.Connection
    say: Say
    users: int = 0

    async def at_least(self, number: int) -> None:
        if self.users < number:
            self.say(f"auth: making {number - self.users:,} users")
            await make_people(self.connection, number - self.users)
            self.users = number

    async def reading(self, *, users: int) -> Reading:
        await self.at_least(users)
        self.say(f"auth: refreshing and own page with {users:,} users")
        return await reading(self.people, self.auth, servers=self.servers)


async def auth_figures(measured: Measured, say: Say, *, only: Collection[str] = USUALLY) -> list[Figure]:
    """Asked of auth itself, which has a core of its own; all others stand still."""
    auth = psutil.Process(measured.supervisor.pid_of("auth"))
    pin(auth.pid, GATEWAY_CORE)
    connection = await connect(measured.stack.admin_url)
    try:
        async with Door(measured.addresses.port("auth")) as door:
            with measured.standing_still("gateway", *BESIDE_THE_CALL):
                servers = [measured.supervisor.pid_of(name) for name in SERVERS]
                return await _figures(Asked(auth, servers, People(door), connection, say), only)
    finally:
        await connection.close()


async def _figures(asked: Asked, only: Collection[str]) -> list[Figure]:
    figures: list[Figure] = []
    if "login" in only:
        asked.say(f"auth: {SIGNING_IN} people sign in at once, again and again")
        figures += await login_figures(asked.people, asked.auth)
    if "check" in only:
        asked.say("auth: access tokens at other services")
        figures += await check_figures(asked.people)
    if {"refresh", "me", "many"} & set(only):
        few = await asked.reading(users=FEW)
        figures += [refresh_figure(few)] if "refresh" in only else []
        figures += [me_figure(few, users=FEW)] if "me" in only else []
        figures += _flat(few, await asked.reading(users=MANY)) if "many" in only else []
    return figures


def _flat(few: Reading, many: Reading) -> list[Figure]:
    return [*flat_figures(few, many, users=(FEW, MANY)), me_figure(many, users=MANY)]
