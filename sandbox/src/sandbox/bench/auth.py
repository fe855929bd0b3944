"""What auth costs: signing in, refreshing, one's own page, tokens elsewhere; with few users and with a million."""

import asyncio
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx2
import psutil
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kit.clock import SystemClock
from kit.tokens import JwksClient, TokenVerifier
from sandbox.bench.auth_people import connect, make_people
from sandbox.bench.figures import Figure, quantile
from sandbox.bench.pinning import GATEWAY_CORE, cpu_s, pin
from sandbox.bench.product import Measured, Say

PASSWORD: Final = "correct horse battery"  # noqa: S105  # of users that live for a minute
SIGNING_IN: Final = 100
LOGIN_S: Final = 6.0
REFRESHING: Final = 16
REFRESH_S: Final = 6.0
CHECKED: Final = 300
ROUNDS: Final = 15
ASKED: Final = 500
PEOPLE: Final = (1_000, 1_000_000)

HEALTH_MS: Final = 50.0
REFRESHES_PER_S: Final = 300.0
CHECK_RATIO: Final = 1.3
CACHED_US: Final = 3.0
ME_MS: Final = 10.0
MOST_TIMES: Final = 1.2


async def auth_figures(measured: Measured, say: Say) -> list[Figure]:
    """Asked of auth itself, which has a core of its own: the gateway has nothing to do, and the others stand still."""
    auth = psutil.Process(measured.supervisor.pid_of("auth"))
    pin(auth.pid, GATEWAY_CORE)
    connection = await connect(measured.stack.admin_url)
    try:
        async with _client(measured) as http:
            with measured.gateway_alone():
                return await _figures(People(http), auth, connection, say)
    finally:
        await connection.close()


def _client(measured: Measured) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=256, max_keepalive_connections=256)
    return httpx2.AsyncClient(base_url=measured.addresses.url("auth"), trust_env=False, timeout=60, limits=limits)


async def _figures(people: "People", auth: psutil.Process, connection: asyncpg.Connection, say: Say) -> list[Figure]:
    await make_people(connection, PEOPLE[0])
    say(f"auth: {SIGNING_IN} people sign in at once, again and again")
    figures = await _login_figures(people, auth)
    say("auth: access tokens at other services")
    figures += await _check_figures(people)
    say(f"auth: refreshing and own page with {PEOPLE[0]:,} users")
    few = await _reading_figures(people, auth)
    say(f"auth: the same with {PEOPLE[1]:,} users")
    await make_people(connection, PEOPLE[1] - PEOPLE[0])
    many = await _reading_figures(people, auth)
    return [*figures, *few.figures(), *_flat(few, many)]


class People:
    """Users of auth, each on a network of its own, as behind a proxy, so that no limit of one network is met."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self._numbers = count(1)

    async def join(self) -> "Person":
        number = next(self._numbers)
        person = Person(
            self.http, f"bench-{uuid4().hex}@example.com", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        )
        await person.post("/auth/register", {"email": person.address, "password": PASSWORD})
        return person


class Person:
    def __init__(self, http: httpx2.AsyncClient, address: str, network: str) -> None:
        self.http, self.address, self.network = http, address, network

    async def post(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        answer = await self.http.post(path, json=body, headers={"x-forwarded-for": self.network})
        return dict(answer.raise_for_status().json())

    async def tried_to_log_in(self) -> bool:
        """False when there are too many at this moment."""
        body, headers = {"email": self.address, "password": PASSWORD}, {"x-forwarded-for": self.network}
        answer = await self.http.post("/auth/login", json=body, headers=headers)
        if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            return False
        answer.raise_for_status()
        return True

    async def login(self) -> dict[str, Any]:
        return await self.post("/auth/login", {"email": self.address, "password": PASSWORD})


async def _login_figures(people: People, auth: psutil.Process) -> list[Figure]:
    """`LOGIN_S` of sign-ins, a hundred under way at each moment, and what a health check waits meanwhile.

    Whoever is told that too many are waiting comes again, as clients do.
    """
    crowd = await asyncio.gather(*(people.join() for _ in range(SIGNING_IN)))
    bare_per_s = 1.0 / _bare_hash_s()
    ends, done, put_off, waits = time.perf_counter() + LOGIN_S, [0], [0], []

    async def again(person: Person) -> None:
        while time.perf_counter() < ends:
            if await person.tried_to_log_in():
                done[0] += 1
            else:
                put_off[0] += 1
                await asyncio.sleep(1.0)

    async def watch() -> None:
        while time.perf_counter() < ends:
            began = time.perf_counter()
            (await people.http.get("/health/live")).raise_for_status()
            waits.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)

    began, used = time.perf_counter(), cpu_s([auth])
    await asyncio.gather(watch(), *(again(one) for one in crowd))
    per_s = done[0] / (time.perf_counter() - began)
    used_ms = 1000 * (cpu_s([auth]) - used) / done[0]
    tail = quantile(waits, 0.99) * 1000
    share = per_s / bare_per_s
    return [
        Figure("auth: sign-ins per second of one core", per_s, "/s", f"argon2id alone {bare_per_s:.1f}/s", share),
        Figure("auth: sign-ins put off", put_off[0], "", f"{done[0]} done"),
        Figure("auth: CPU per sign-in", used_ms, "ms", f"argon2id alone {1000 / bare_per_s:.1f} ms"),
        Figure(
            f"auth: health while {SIGNING_IN} sign in, p99",
            *(tail, "ms", f"{HEALTH_MS:.0f} ms", tail / HEALTH_MS, f"<= {HEALTH_MS:.0f} ms", tail <= HEALTH_MS),
        ),
    ]


def _bare_hash_s() -> float:
    """One verification under auth's parameters (`docs/security.md`), in this process, by its CPU time."""
    hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
    made = hasher.hash(PASSWORD)
    hasher.verify(made, PASSWORD)
    began = time.process_time()
    for _ in range(20):
        hasher.verify(made, PASSWORD)
    return (time.process_time() - began) / 20


async def _check_figures(people: People) -> list[Figure]:
    """A token of auth's as every other service checks it, beside the bare signature, interleaved."""
    person = await people.join()
    tokens = [(await person.login())["access_token"] for _ in range(10)]
    url = f"{people.http.base_url}auth/jwks.json"
    clock, issuer = SystemClock(), json.loads(_part(tokens[0], 1))["iss"]
    keys = JwksClient(url, http=people.http, clock=clock)
    plain = TokenVerifier(keys, issuer=issuer, clock=clock, cached=0)
    caching = TokenVerifier(keys, issuer=issuer, clock=clock)
    key = await keys.key(json.loads(_part(tokens[0], 0))["kid"])
    assert key is not None
    assert isinstance(key.key, Ed25519PublicKey)
    public, asked = key.key, tokens * (CHECKED // len(tokens))
    parts = [_parts(token) for token in asked]
    for token in asked:
        await caching.caller(token)
        await plain.caller(token)
    bare_s, plain_s, cached_s = [], [], []
    for _ in range(ROUNDS):
        began = time.process_time()
        for signature, signed in parts:
            public.verify(signature, signed)
        bare_s.append(time.process_time() - began)
        plain_s.append(await _checked_s(plain, asked))
        cached_s.append(await _checked_s(caching, asked))
    bare_us, plain_us, cached_us = (1e6 * min(one) / len(asked) for one in (bare_s, plain_s, cached_s))
    ratio = plain_us / bare_us
    return [
        Figure(
            "auth: a token checked elsewhere",
            *(
                plain_us,
                "us",
                f"the signature alone {bare_us:.1f} us",
                ratio,
                f"<= {CHECK_RATIO}",
                ratio <= CHECK_RATIO,
            ),
        ),
        Figure(
            "auth: a token that was checked before",
            *(cached_us, "us", f"{CACHED_US:.0f} us", cached_us / CACHED_US, "<= 3 us", cached_us <= CACHED_US),
        ),
    ]


def _part(token: str, number: int) -> bytes:
    encoded = token.split(".")[number]
    return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def _parts(token: str) -> tuple[bytes, bytes]:
    """The signature, and what is signed."""
    return _part(token, 2), token.rpartition(".")[0].encode()


async def _checked_s(verifier: TokenVerifier, tokens: list[str]) -> float:
    began = time.process_time()
    for token in tokens:
        await verifier.caller(token)
    return time.process_time() - began


class Reading:
    """What refreshing and `/auth/me` cost with so many users."""

    def __init__(self, *, refreshes_per_s: float, refresh_cpu_ms: float, me_ms: float, me_cpu_ms: float) -> None:
        self.refreshes_per_s, self.refresh_cpu_ms = refreshes_per_s, refresh_cpu_ms
        self.me_ms, self.me_cpu_ms = me_ms, me_cpu_ms

    def figures(self) -> list[Figure]:
        share = self.refreshes_per_s / REFRESHES_PER_S
        against = f"{self.refresh_cpu_ms:.2f} ms of its core each"
        must = f">= {REFRESHES_PER_S:.0f}/s"
        me = self.me_ms / ME_MS
        return [
            Figure(
                "auth: refreshes per second of one core", self.refreshes_per_s, "/s", against, share, must, share >= 1
            ),
            Figure("auth: /auth/me, p99", self.me_ms, "ms", f"{ME_MS:.0f} ms", me, f"<= {ME_MS:.0f} ms", me <= 1),
        ]


async def _reading_figures(people: People, auth: psutil.Process) -> Reading:
    crowd = await asyncio.gather(*(people.join() for _ in range(REFRESHING)))
    tokens = [await one.login() for one in crowd]
    refreshes_per_s, refresh_cpu_ms = await _during(
        auth, [_refreshing(one, first["refresh_token"]) for one, first in zip(crowd, tokens, strict=True)]
    )
    headers = {"authorization": f"Bearer {tokens[0]['access_token']}"}
    waits = []
    used = cpu_s([auth])
    for _ in range(ASKED):
        began = time.perf_counter()
        (await people.http.get("/auth/me", headers=headers)).raise_for_status()
        waits.append(time.perf_counter() - began)
    me_cpu_ms = 1000 * (cpu_s([auth]) - used) / ASKED
    me_ms = 1000 * quantile(waits, 0.99)
    return Reading(refreshes_per_s=refreshes_per_s, refresh_cpu_ms=refresh_cpu_ms, me_ms=me_ms, me_cpu_ms=me_cpu_ms)


def _refreshing(person: Person, token: str) -> Callable[[], Awaitable[None]]:
    held = [token]

    async def once() -> None:
        held[0] = (await person.post("/auth/refresh", {"refresh_token": held[0]}))["refresh_token"]

    return once


async def _during(auth: psutil.Process, works: list[Callable[[], Awaitable[None]]]) -> tuple[float, float]:
    """How often per second, and the CPU of each in ms, with one under way for each of these."""
    done, ends = [0], time.perf_counter() + REFRESH_S

    async def again(work: Callable[[], Awaitable[None]]) -> None:
        while time.perf_counter() < ends:
            await work()
            done[0] += 1

    began, used = time.perf_counter(), cpu_s([auth])
    await asyncio.gather(*(again(one) for one in works))
    taken, cpu = time.perf_counter() - began, cpu_s([auth]) - used
    return done[0] / taken, 1000 * cpu / done[0]


def _flat(few: Reading, many: Reading) -> list[Figure]:
    figures = []
    for name, one, other in (
        ("refresh", few.refresh_cpu_ms, many.refresh_cpu_ms),
        ("/auth/me", few.me_cpu_ms, many.me_cpu_ms),
    ):
        times = other / one
        against = f"{PEOPLE[0]:,} users: {one:.2f} ms"
        what = f"auth: CPU per {name}, {PEOPLE[1]:,} users"
        figures.append(Figure(what, other, "ms", against, times, f"<= {MOST_TIMES}", times <= MOST_TIMES))
    me = many.me_ms / ME_MS
    what = f"auth: /auth/me with {PEOPLE[1]:,} users, p99"
    return [*figures, Figure(what, many.me_ms, "ms", f"{ME_MS:.0f} ms", me, f"<= {ME_MS:.0f} ms", me <= 1)]
