"""A flood of bad keys: few questions to auth, none that slows a caller who is known."""

import asyncio
import time
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from contracts.auth import ApiKeyChanged
from gateway.adapters.auth import Asked, ResolvedKey, Standings
from gateway.identity.flood import Allowance, Buckets, DigestFilter, SharedLimit, TooManyRequestsError
from kit import apikeys
from kit.clock import Clock, ManualClock, SystemClock
from kit.errors import DomainError, UnavailableError
from kit.testing import Signer
from kit.tokens import InvalidTokenError

from ..identity_parts import ISSUER, identity_parts  # noqa: TID252  # tests are no package

FLOOD = 3000
ATTACKER = "203.0.113.9"


@dataclass
class Auth:
    """Auth, with the questions that it got and how many at once."""

    tokens: dict[str, str] = field(default_factory=dict)
    takes_s: float = 0.001
    asked: int = 0
    at_once: int = 0
    most_at_once: int = 0

    async def resolve(self, key: str) -> ResolvedKey | None:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.takes_s)
        self.at_once -= 1
        return ResolvedKey(self.tokens[key], 600) if key in self.tokens else None

    async def recheck(self, asked: Asked) -> Standings:
        return Standings()


class World:
    def __init__(self, clock: Clock, *, shared: SharedLimit | None = None) -> None:
        self.clock = clock
        self.auth, self.signer = Auth(), Signer(issuer=ISSUER, clock=clock)
        parts = identity_parts(self.auth, self.signer, clock=clock, shared=shared)
        self.api_keys, self.credentials = parts.api_keys, parts.credentials

    def key(self) -> str:
        key = apikeys.make("test")
        self.auth.tokens[key] = self.signer.user_token(account_id=uuid4(), api_key_id=uuid4())
        return key

    def hear_of(self, key: str, *, state: str = "active") -> None:
        self.api_keys.on_changed(
            ApiKeyChanged(
                id=uuid4(),
                time=self.clock.now(),
                account_id=uuid4(),
                api_key_id=uuid4(),
                user_id=uuid4(),
                version=1,
                state=state,  # type: ignore[arg-type]
                key_sha256=apikeys.sha256_hex(key),
            )
        )

    async def try_key(self, key: str, *, peer: str = ATTACKER) -> str:
        """How the credential fared: `ok`, or the code of the refusal."""
        try:
            await self.credentials.of([(b"x-api-key", key.encode())], peer=peer)
        except DomainError as error:
            return error.code
        return "ok"


@pytest.fixture
def world() -> World:
    return World(ManualClock())


def random_keys(count: int) -> list[str]:
    return [apikeys.make("live") for _ in range(count)]


async def test_thousands_of_random_keys_from_one_address_are_few_questions(world: World) -> None:
    answers = await asyncio.gather(*(world.try_key(key) for key in random_keys(FLOOD)))

    assert world.auth.asked <= 200 + 8
    assert world.auth.most_at_once <= 8
    assert set(answers) == {"unknown_api_key", "too_many_requests", "unavailable"}
    one_by_one = [await world.try_key(key) for key in random_keys(200)]
    assert set(one_by_one) == {"too_many_requests"}


async def test_many_addresses_together_are_few_questions_too(world: World) -> None:
    for number, key in enumerate(random_keys(FLOOD)):
        await world.try_key(key, peer=f"198.51.{number // 250}.{number % 250}")

    assert world.auth.asked <= 500


async def test_mistyped_keys_and_garbage_are_no_questions_and_use_nothing_up(world: World) -> None:
    for key in random_keys(500):
        assert await world.try_key(key[:-1] + ("A" if key[-1] != "A" else "B")) == "invalid_token"
        assert await world.try_key(key[8:]) == "invalid_token"
    assert world.auth.asked == 0
    assert await world.try_key(apikeys.make("live")) == "unknown_api_key"


async def test_in_a_flood_good_keys_from_elsewhere_and_keys_heard_of_pass(world: World) -> None:
    elsewhere, heard_of = world.key(), world.key()
    world.hear_of(heard_of)
    for key in random_keys(250):
        await world.try_key(key)

    assert await world.try_key(elsewhere) == "too_many_requests"
    assert await world.try_key(elsewhere, peer="192.0.2.1") == "ok"
    assert await world.try_key(heard_of) == "ok"
    for number, key in enumerate(random_keys(600)):
        await world.try_key(key, peer=f"198.51.100.{number % 250}")
    assert await world.try_key(world.key(), peer="192.0.2.2") == "unavailable"
    late = world.key()
    world.hear_of(late)
    assert await world.try_key(late, peer="192.0.2.2") == "ok"


async def test_good_keys_use_nothing_up(world: World) -> None:
    for _ in range(300):
        assert await world.try_key(world.key()) == "ok"


async def test_an_address_may_try_again_later(world: World) -> None:
    for key in random_keys(250):
        await world.try_key(key)
    assert await world.try_key(apikeys.make("live")) == "too_many_requests"

    world.clock.advance(1)  # type: ignore[attr-defined]
    assert await world.try_key(apikeys.make("live")) == "unknown_api_key"


async def test_revoked_keys_are_no_questions(world: World) -> None:
    keys = random_keys(500)
    for key in keys:
        world.hear_of(key, state="revoked")

    assert {await world.try_key(key) for key in keys} == {"unknown_api_key"}
    assert world.auth.asked == 0


async def test_forged_tokens_from_one_address_are_refused_unverified_after_a_while(world: World) -> None:
    forger = Signer(issuer=ISSUER, clock=world.clock)
    refusals = [await world.try_key(forger.user_token(account_id=uuid4())) for _ in range(250)]

    assert refusals.count("invalid_token") == 200
    assert refusals[200:] == ["too_many_requests"] * 50


async def test_the_refusal_says_when_to_come_back(world: World) -> None:
    for key in random_keys(200):
        await world.try_key(key)
    with pytest.raises(TooManyRequestsError) as refused:
        await world.credentials.of([(b"x-api-key", apikeys.make("live").encode())], peer=ATTACKER)
    assert refused.value.retry_after_s == 1
    assert refused.value.kind == "too_many"


async def test_what_other_gateways_counted_counts_here_too() -> None:
    counted: list[tuple[str, str]] = []

    async def shared(address: str, kind: str) -> float | None:
        counted.append((address, kind))
        return 30.0 if len(counted) > 3 else None

    world = World(ManualClock(), shared=shared)
    answers = [await world.try_key(key, peer="2001:db8::1") for key in random_keys(6)]

    assert answers == ["unknown_api_key"] * 4 + ["too_many_requests"] * 2
    assert counted == [("2001:db8::/64", "bad_credential")] * 4
    assert await world.try_key(apikeys.make("live"), peer="2001:db8::ffff") == "too_many_requests"
    world.clock.advance(31)  # type: ignore[attr-defined]
    assert await world.try_key(apikeys.make("live"), peer="2001:db8::1") == "unknown_api_key"


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_shared_count_that_cannot_be_had_changes_no_answer(hangs: bool) -> None:  # noqa: FBT001
    async def shared(_address: str, _kind: str) -> float | None:
        if hangs:
            await asyncio.sleep(60)
        raise UnavailableError("away")

    world = World(ManualClock(), shared=shared)
    assert await world.try_key(apikeys.make("live")) == "unknown_api_key"
    forged = Signer(issuer=ISSUER, clock=world.clock).user_token(account_id=uuid4())
    assert await world.try_key(forged) == "invalid_token"


async def test_an_auth_that_hangs_does_not_make_a_queue_without_end() -> None:
    world = World(SystemClock())
    world.auth.takes_s = 60
    flood = [asyncio.create_task(world.try_key(key)) for key in random_keys(1200)]
    done, _ = await asyncio.wait(flood, timeout=4, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0.1)

    refused = [one.result() for one in flood if one.done()]
    assert done
    assert refused == ["unavailable"] * 200
    for one in flood:
        one.cancel()
    await asyncio.gather(*flood, return_exceptions=True)


async def test_a_flood_does_not_slow_a_known_key_down() -> None:
    """The loop's other work is the flood's arithmetic; a known key must not wait for anything that the flood holds."""
    world = World(SystemClock())
    world.auth.takes_s = 0.005
    headers = [(b"x-api-key", world.key().encode())]
    await world.credentials.of(headers, peer="192.0.2.1")

    async def latency_s() -> float:
        taken = []
        for _ in range(200):
            began = time.perf_counter()
            await asyncio.sleep(0)
            assert world.credentials.now(headers, peer="192.0.2.1")
            taken.append(time.perf_counter() - began)
            await asyncio.sleep(0.001)
        return sorted(taken)[len(taken) // 2]

    alone_s = await latency_s()

    async def flood() -> None:
        for key in random_keys(5000):
            await world.try_key(key)

    flooding = asyncio.create_task(flood())
    flooded_s = await latency_s()
    flooding.cancel()

    assert flooded_s < alone_s * 20 + 0.001


def test_the_filter_never_forgets_and_rarely_errs() -> None:
    known = [bytes.fromhex(apikeys.sha256_hex(str(number))) for number in range(20_000)]
    found = DigestFilter()
    for digest in known:
        found.add(digest)

    assert all(digest in found for digest in known)
    strangers = (bytes.fromhex(apikeys.sha256_hex(f"stranger {number}")) for number in range(20_000))
    assert sum(digest in found for digest in strangers) < 5


def test_buckets_fill_with_time_and_the_number_of_names_is_bounded() -> None:
    clock = ManualClock()
    buckets = Buckets(Allowance(burst=2, per_s=0.5), clock=clock, most=100)
    for _ in range(2):
        assert buckets.wait_s("a") == 0
        buckets.take("a")
    assert buckets.wait_s("a") == 2
    assert buckets.wait_s("b") == 0
    clock.advance(2)
    assert buckets.wait_s("a") == 0
    buckets.take("a")
    for number in range(100):
        buckets.take(str(number))
    assert buckets.wait_s("a") == 0


async def test_the_places_towards_auth_are_given_back_when_a_question_fails(world: World) -> None:
    async def away(key: str) -> ResolvedKey | None:
        raise UnavailableError("away")

    world.auth.resolve = away  # type: ignore[method-assign]  # the stand-in is ours to change
    for key in random_keys(50):
        assert await world.try_key(key) == "unavailable"
    del world.auth.resolve  # type: ignore[method-assign]
    assert await world.try_key(world.key()) == "ok"
    with pytest.raises(InvalidTokenError):
        await world.credentials.of([(b"x-api-key", apikeys.make("live").encode())])
