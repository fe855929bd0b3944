"""A hundred people sign in at every moment: how fast that goes beside bare argon2, and what others wait meanwhile."""

import asyncio
import time
from typing import Final

import psutil
from argon2 import PasswordHasher

from sandbox.bench.auth_crowd import PASSWORD, People, Person
from sandbox.bench.figures import Figure, quantile
from sandbox.bench.pinning import cpu_s

SIGNING_IN: Final = 100
LOGIN_S: Final = 10.0
HEALTH_MS: Final = 50.0
LOOK_S: Final = 0.02
HASHED: Final = 20


async def login_figures(people: People, auth: psutil.Process) -> list[Figure]:
    """`LOGIN_S` of sign-ins, a hundred under way at each moment; one that is put off fails the whole."""
    crowd = await asyncio.gather(*(people.join() for _ in range(SIGNING_IN)))
    bare_ms = 1000 * _bare_hash_s()
    ends, done, waits = time.perf_counter() + LOGIN_S, [0], []

    async def again(person: Person) -> None:
        while time.perf_counter() < ends:
            await person.login()
            done[0] += 1

    async def watch() -> None:
        while time.perf_counter() < ends:
            began = time.perf_counter()
            await people.auth.get("/health/live")
            waits.append(time.perf_counter() - began)
            await asyncio.sleep(LOOK_S)

    began, used = time.perf_counter(), cpu_s([auth])
    await asyncio.gather(watch(), *(again(one) for one in crowd))
    per_s = done[0] / (time.perf_counter() - began)
    used_ms = 1000 * (cpu_s([auth]) - used) / done[0]
    return _told(per_s, used_ms=used_ms, bare_ms=bare_ms, tail_ms=1000 * quantile(waits, 0.99))


def _told(per_s: float, *, used_ms: float, bare_ms: float, tail_ms: float) -> list[Figure]:
    must = f"<= {HEALTH_MS:.0f} ms"
    health = f"auth: health while {SIGNING_IN} sign in, p99"
    bare_per_s, of_core_per_s = 1000 / bare_ms, 1000 / used_ms
    rate, against = "auth: sign-ins per second of one core", f"argon2id alone {bare_per_s:.1f}/s"
    cpu = f"argon2id alone {bare_ms:.1f} ms; {per_s:.1f}/s with {per_s / of_core_per_s:.0%} of its core"
    return [
        Figure(rate, of_core_per_s, "/s", against, of_core_per_s / bare_per_s),
        Figure("auth: CPU per sign-in", used_ms, "ms", cpu, used_ms / bare_ms),
        Figure(health, tail_ms, "ms", f"{HEALTH_MS:.0f} ms", tail_ms / HEALTH_MS, must, tail_ms <= HEALTH_MS),
    ]


def _bare_hash_s() -> float:
    """One verification under auth's parameters (`docs/security.md`), in this process, by its CPU time."""
    hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
    made = hasher.hash(PASSWORD)
    hasher.verify(made, PASSWORD)
    began = time.process_time()
    for _ in range(HASHED):
        hasher.verify(made, PASSWORD)
    return (time.process_time() - began) / HASHED
