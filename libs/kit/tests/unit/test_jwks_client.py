"""Auth's keys are fetched rarely, once for all who wait, and outlive auth's absence."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kit.clock import ManualClock
from kit.errors import UnavailableError
from kit.tokens import ALGORITHM, JwksClient


def public_key(key_id: str) -> dict[str, Any]:
    public = jwt.algorithms.OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key(), as_dict=True)
    return {**public, "kid": key_id, "alg": ALGORITHM, "use": "sig"}


@dataclass
class Auth:
    """What stands in for auth: its keys, whether it answers, how often it was asked."""

    keys: list[dict[str, Any]] = field(default_factory=lambda: [public_key("one")])
    answer: Callable[[], httpx2.Response] | None = None
    delay_s: float = 0.0
    asked: int = 0

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        await asyncio.sleep(self.delay_s)
        return self.answer() if self.answer else httpx2.Response(200, json={"keys": self.keys})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def auth() -> Auth:
    return Auth()


@pytest.fixture
async def client(auth: Auth, clock: ManualClock) -> AsyncIterator[JwksClient]:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(auth)) as http:
        yield JwksClient("http://auth.test/auth/jwks.json", http=http, clock=clock)


def away() -> httpx2.Response:
    return httpx2.Response(503)


async def test_keys_are_asked_for_once_and_again_when_they_are_old(
    client: JwksClient, auth: Auth, clock: ManualClock
) -> None:
    for _ in range(5):
        assert await client.key("one") is not None
    assert auth.asked == 1

    clock.advance(301)
    assert await client.key("one") is not None
    await asyncio.sleep(0.01)

    assert auth.asked == 2


async def test_a_known_key_does_not_wait_for_the_next_set(client: JwksClient, auth: Auth, clock: ManualClock) -> None:
    await client.key("one")
    auth.delay_s = 60
    clock.advance(301)

    async with asyncio.timeout(0.5):
        for _ in range(20):
            assert await client.key("one") is not None


async def test_a_flood_of_unknown_keys_while_auth_is_away_is_not_a_question_each(
    client: JwksClient, auth: Auth, clock: ManualClock
) -> None:
    """Neither with keys nor without any."""
    auth.answer = refused
    for number in range(100):
        with pytest.raises(UnavailableError):
            await client.key(f"forged-{number}")
    assert auth.asked == 1

    auth.answer = None
    clock.advance(1)
    await client.key("one")
    auth.answer = refused
    for number in range(1000):
        await client.key(f"forged-{number}")
        clock.advance(0.01)
    assert auth.asked <= 2 + 5


async def test_a_caller_who_leaves_does_not_take_the_question_with_them(client: JwksClient, auth: Auth) -> None:
    auth.delay_s = 0.05
    first, second = asyncio.create_task(client.key("one")), asyncio.create_task(client.key("one"))
    await asyncio.sleep(0.01)
    first.cancel()

    assert await second is not None
    assert auth.asked == 1


async def test_many_who_need_the_keys_at_once_share_one_question(client: JwksClient, auth: Auth) -> None:
    auth.delay_s = 0.05

    found = await asyncio.gather(*(client.key("one") for _ in range(50)))

    assert all(found)
    assert auth.asked == 1


async def test_the_last_good_keys_are_kept_while_auth_is_away(
    client: JwksClient, auth: Auth, clock: ManualClock
) -> None:
    await client.key("one")
    auth.answer = away
    clock.advance(3600)

    assert await client.key("one") is not None
    assert await client.key("unknown") is None


async def test_an_unknown_key_is_asked_for_but_not_more_often_than_every_two_seconds(
    client: JwksClient, auth: Auth, clock: ManualClock
) -> None:
    await client.key("one")
    auth.keys.append(public_key("two"))
    for number in range(100):
        assert await client.key(f"forged-{number}") is None
    assert auth.asked == 1

    clock.advance(2.5)

    assert await client.key("two") is not None
    assert auth.asked == 2


def refused() -> httpx2.Response:
    raise httpx2.ConnectError("nobody listens")


@pytest.mark.parametrize(
    "answer",
    [
        away,
        refused,
        lambda: httpx2.Response(200, text="<html>"),
        lambda: httpx2.Response(200, json=[]),
        lambda: httpx2.Response(200, json={"keys": []}),
        lambda: httpx2.Response(200, json={"keys": 7}),
    ],
)
async def test_without_any_keys_the_caller_is_told_to_try_later(
    client: JwksClient, auth: Auth, clock: ManualClock, answer: Callable[[], httpx2.Response]
) -> None:
    auth.answer = answer

    with pytest.raises(UnavailableError) as refusal:
        await client.key("one")
    assert refusal.value.retry_after_s == 2

    auth.answer = None
    clock.advance(1)
    assert await client.key("one") is not None


async def test_a_crowd_does_not_queue_up_behind_an_auth_that_is_away(client: JwksClient, auth: Auth) -> None:
    auth.answer, auth.delay_s = away, 0.05

    results = await asyncio.gather(*(client.key("one") for _ in range(50)), return_exceptions=True)

    assert all(isinstance(result, UnavailableError) for result in results)
    assert auth.asked == 1
