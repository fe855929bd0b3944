"""What auth does most: refreshing, and `/auth/me`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from sandbox.bench.auth_crowd import People, Person
from sandbox.bench.figures import Figure, quantile
from sandbox.bench.pinning import cpu_s, running_anywhere

REFRESHING: Final = 16
WARM_S: Final = 1.0
REFRESH_S: Final = 6.0
ASKED: Final = 1_000
ASKED_PER_S: Final = 100
REFRESHES_PER_S: Final = 300.0
ME_MS: Final = 10.0
MOST_TIMES: Final = 1.2

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What they took with so many users."""

    refreshes_per_s: float
    refresh_cpu_ms: float
    me_ms: float
    me_cpu_ms: float


async def reading(people: People, auth: psutil.Process, *, servers: Sequence[int]) -> Reading:
    """CPU is told of a core of auth's own; how long `/auth/me` takes where all, `servers` too, run as anywhere."""
    crowd = await asyncio.gather(*(people.join() for _ in range(REFRESHING)))
    tokens = [await one.login() for one in crowd]
    works = [_refreshing(one, str(first["refresh_token"])) for one, first in zip(crowd, tokens, strict=True)]
    await _during(auth, works, seconds=WARM_S)
    refreshes_per_s, refresh_cpu_ms = await _during(auth, works, seconds=REFRESH_S)
    with running_anywhere([auth.pid, *servers]):
        me_ms, me_cpu_ms = await _me(people, auth, str(tokens[0]["access_token"]))
    return Reading(refreshes_per_s, refresh_cpu_ms, me_ms, me_cpu_ms)


def refresh_figure(read: Reading) -> Figure:
    """Of a core's whole second: PostgreSQL and the clients have the other one, and may keep auth waiting."""
    per_s = 1000 / read.refresh_cpu_ms
    share, must = per_s / REFRESHES_PER_S, f">= {REFRESHES_PER_S:.0f}/s"
    against = f"{read.refreshes_per_s:.0f}/s with {read.refreshes_per_s / per_s:.0%} of its core"
    return Figure("auth: refreshes per second of one core", per_s, "/s", against, share, must, share >= 1)


def me_figure(read: Reading, *, users: int) -> Figure:
    share, must = read.me_ms / ME_MS, f"<= {ME_MS:.0f} ms"
    name = f"auth: /auth/me at {ASKED_PER_S}/s, {users:,} users, p99"
    return Figure(name, read.me_ms, "ms", f"{read.me_cpu_ms:.2f} ms of its core each", share, must, share <= 1)


def flat_figures(few: Reading, many: Reading, *, users: tuple[int, int]) -> list[Figure]:
    figures = []
    for name, one, other in (
        ("refresh", few.refresh_cpu_ms, many.refresh_cpu_ms),
        ("/auth/me", few.me_cpu_ms, many.me_cpu_ms),
    ):
        times, against = other / one, f"{users[0]:,} users: {one:.2f} ms"
        what = f"auth: CPU per {name}, {users[1]:,} users"
        figures.append(Figure(what, other, "ms", against, times, f"<= {MOST_TIMES}", times <= MOST_TIMES))
    return figures


async def _me(people: People, auth: psutil.Process, token: str) -> tuple[float, float]:
    """The p99 of what callers wait who come evenly, whether the one before has its answer or not; and its CPU."""
    headers, waits = {"authorization": f"Bearer {token}"}, []
    began, used = time.perf_counter(), cpu_s([auth])

    async def ask(number: int) -> None:
        due = began + number / ASKED_PER_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked = time.perf_counter()
        await people.auth.get("/auth/me", headers)
        waits.append(time.perf_counter() - asked)

    await asyncio.gather(*(ask(number) for number in range(ASKED)))
    return 1000 * quantile(waits, 0.99), 1000 * (cpu_s([auth]) - used) / ASKED


def _refreshing(person: Person, token: str) -> Work:
    held = [token]

    async def once() -> None:
        held[0] = (await person.post("/auth/refresh", {"refresh_token": held[0]}))["refresh_token"]

    return once


async def _during(auth: psutil.Process, works: Sequence[Work], *, seconds: float) -> tuple[float, float]:
    """How often per second, and the CPU of each in ms, with one under way for each of these."""
    done, ends = [0], time.perf_counter() + seconds

    async def again(work: Work) -> None:
        while time.perf_counter() < ends:
            await work()
            done[0] += 1

    began, used = time.perf_counter(), cpu_s([auth])
    await asyncio.gather(*(again(one) for one in works))
    taken, cpu = time.perf_counter() - began, cpu_s([auth]) - used
    return done[0] / taken, 1000 * cpu / done[0]
