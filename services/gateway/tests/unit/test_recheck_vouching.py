"""While the revocation topics are silent auth vouches for credentials; when both are, that has an end (money.md 28)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from gateway.adapters.auth import Asked, ResolvedKey, Standings
from gateway.identity.credential import Credential, Known
from gateway.identity.credentials import Credentials
from gateway.identity.vouching import COVERED_S, EVERY_S, FRESH_S, Vouching
from kit.clock import ManualClock
from kit.errors import UnavailableError
from kit.identity import MemberStanding, Revocations, RevokedError, UserStanding
from kit.testing import Signer
from kit.tokens import Caller

from ..identity_parts import ISSUER, identity_parts  # noqa: TID252  # tests are no package


@dataclass
class Auth:
    """Auth's answers about credentials in use."""

    standings: Standings = field(default_factory=Standings)
    away: bool = False
    takes_s: float = 0.0
    asked: list[Asked] = field(default_factory=list)

    async def recheck(self, asked: Asked) -> Standings:
        self.asked.append(asked)
        await asyncio.sleep(self.takes_s)
        if self.away:
            raise UnavailableError("away")
        return self.standings

    async def resolve(self, key: str) -> ResolvedKey | None:
        raise UnavailableError("away")


@dataclass
class Topics:
    current_at: float


@dataclass
class World:
    clock: ManualClock
    topics: Topics
    auth: Auth
    revocations: Revocations
    vouching: Vouching
    credentials: Credentials
    signer: Signer

    def silent_for(self, seconds: float) -> None:
        self.topics.current_at = self.clock.monotonic() - seconds

    async def use(self, headers: list[tuple[bytes, bytes]]) -> Credential:
        return await self.credentials.of(headers)

    def token(self, **claims: UUID) -> list[tuple[bytes, bytes]]:
        text = self.signer.user_token(**{"account_id": uuid4(), **claims}, lifetime_s=3600)
        return [(b"authorization", b"Bearer " + text.encode())]


@pytest.fixture
def world() -> World:
    return _world(ManualClock())


def _world(clock: ManualClock) -> World:
    topics, auth, signer = Topics(clock.monotonic()), Auth(), Signer(issuer=ISSUER, clock=clock)
    parts = identity_parts(auth, signer, clock=clock, topics=topics, patience_s=60)
    return World(clock, topics, auth, parts.revocations, parts.vouching, parts.credentials, signer)


@pytest.fixture
async def rechecking(world: World) -> AsyncIterator[Callable[[float], object]]:
    """The background work, and time that passes in steps small enough for it."""
    task = asyncio.create_task(world.vouching.run(world.credentials.in_use))

    async def passing(seconds: float) -> None:
        for _ in range(round(seconds / 2.5)):
            world.clock.advance(2.5)
            await asyncio.sleep(0.3)

    yield passing
    task.cancel()


async def test_while_the_topics_are_read_auth_is_not_asked(world: World) -> None:
    headers = world.token()
    await world.use(headers)
    world.silent_for(FRESH_S - 0.1)

    assert world.credentials.now(headers)
    assert world.auth.asked == []


async def test_when_they_fall_silent_a_credential_needs_auths_word_within_eight_seconds(world: World) -> None:
    headers = world.token()
    await world.use(headers)
    world.silent_for(COVERED_S + 0.1)

    assert world.credentials.now(headers) is None
    assert await world.use(headers)
    assert len(world.auth.asked) == 1
    assert world.credentials.now(headers)
    world.clock.advance(COVERED_S + 0.1)
    assert world.credentials.now(headers) is None


async def test_what_auth_says_against_a_credential_counts_at_once(world: World) -> None:
    ids = {"account_id": uuid4(), "user_id": uuid4(), "session_id": uuid4(), "api_key_id": uuid4()}
    user, member = (ids["user_id"],), (ids["account_id"], ids["user_id"])
    against = [
        Standings(ended_sessions=(ids["session_id"],)),
        Standings(ended_api_keys=(ids["api_key_id"],)),
        Standings(users=((*user, UserStanding(2, active=False, operator=False)),)),
        Standings(members=((*member, MemberStanding(2, active=False, role="owner")),)),
        Standings(users=((*user, UserStanding(0, active=False, operator=False)),)),
    ]
    for standings in against:
        fresh = _world(world.clock)
        headers = fresh.token(**ids)
        await fresh.use(headers)
        fresh.auth.standings = standings
        fresh.silent_for(COVERED_S + 1)
        with pytest.raises(RevokedError):
            await fresh.use(headers)


async def test_auth_names_the_role_of_today(world: World) -> None:
    ids = {"account_id": uuid4(), "user_id": uuid4()}
    headers = world.token(**ids)
    await world.use(headers)
    world.auth.standings = Standings(members=((*ids.values(), MemberStanding(2, active=True, role="user")),))
    world.silent_for(COVERED_S + 1)

    assert (await world.use(headers)).caller.role == "user"


async def test_with_auth_away_too_it_goes_on_for_its_patience_and_then_for_nobody(world: World) -> None:
    headers = world.token()
    await world.use(headers)
    world.auth.away = True

    for seconds in (9, 30, 59):
        world.silent_for(seconds)
        assert await world.use(headers)
    world.silent_for(61)
    world.clock.advance(2)
    world.silent_for(61)
    for other in (headers, world.token()):
        with pytest.raises(UnavailableError) as refused:
            await world.use(other)
        assert refused.value.retry_after_s

    world.auth.away = False
    world.clock.advance(2)
    assert await world.use(headers)


async def test_patience_counts_from_auths_last_word(world: World) -> None:
    headers = world.token()
    await world.use(headers)
    world.silent_for(100)
    assert await world.use(headers)
    world.auth.away = True

    world.clock.advance(59)
    assert await world.use(headers)
    world.clock.advance(2)
    with pytest.raises(UnavailableError):
        await world.use(headers)


async def test_patience_ends_when_auth_answers_again(world: World) -> None:
    headers = world.token()
    await world.use(headers)
    world.auth.away = True
    world.silent_for(COVERED_S + 1)
    assert await world.use(headers)
    world.auth.away = False
    world.clock.advance(60)
    assert await world.use(headers)

    world.clock.advance(COVERED_S + 0.1)
    assert world.credentials.now(headers) is None


async def test_an_auth_that_is_away_is_asked_about_once_a_second_and_nobody_queues(world: World) -> None:
    headers = [world.token() for _ in range(200)]
    for one in headers:
        await world.use(one)
    world.auth.away, world.auth.takes_s = True, 0.05
    world.silent_for(100)

    results = await asyncio.gather(*(world.use(one) for one in headers), return_exceptions=True)
    results += await asyncio.gather(*(world.use(one) for one in headers), return_exceptions=True)

    assert {type(one) for one in results} == {UnavailableError}
    assert len(world.auth.asked) <= 2


async def test_before_the_topics_were_ever_read_auth_is_asked(world: World) -> None:
    world.topics.current_at = float("-inf")
    headers = world.token()
    assert await world.use(headers)
    assert len(world.auth.asked) == 1
    world.auth.away = True
    world.clock.advance(2)
    with pytest.raises(UnavailableError):
        await world.use(world.token())


async def test_those_who_come_together_are_asked_about_together(world: World) -> None:
    headers = [world.token() for _ in range(1200)]
    for one in headers:
        await world.use(one)
    world.silent_for(100)

    await asyncio.gather(*(world.use(one) for one in headers))

    assert len(world.auth.asked) <= 6
    assert max(len(asked.users) for asked in world.auth.asked) <= 500
    assert len(frozenset().union(*(asked.users for asked in world.auth.asked))) == 1200


async def test_credentials_in_use_are_rechecked_every_five_seconds(world: World, rechecking) -> None:
    headers, idle = world.token(), world.token()
    await world.use(idle)
    world.clock.advance(61)
    world.silent_for(0)
    await world.use(headers)
    await rechecking(20)

    assert 2 <= len(world.auth.asked) <= 1 + (20 - FRESH_S) / EVERY_S
    assert all(len(asked.users) == 1 for asked in world.auth.asked)
    assert world.credentials.now(headers)
    world.auth.standings = Standings(ended_sessions=tuple(world.auth.asked[0].sessions))
    await rechecking(5)
    with pytest.raises(RevokedError):
        world.credentials.now(headers)


async def test_nothing_is_rechecked_when_the_topics_are_back(world: World, rechecking) -> None:
    await world.use(world.token())
    await rechecking(10)
    asked = len(world.auth.asked)
    world.silent_for(-1000)
    await rechecking(10)

    assert asked > 0
    assert len(world.auth.asked) == asked


def test_the_bound_is_as_stated(world: World) -> None:
    """Whatever happened when: 8 s with auth, its patience without, measured from the last word of either."""
    caller = Caller(uuid4(), uuid4(), "owner", False, None, None, None, None, (), world.clock.now())
    known = Known(Credential.of(caller, ""), until_s=float("inf"), from_key=False)
    now_s = world.clock.monotonic()
    for topics_s, auth_s in ((4, 100), (8, 100), (100, 8), (7.9, 7.9)):
        world.topics.current_at, known.vouched_s = now_s - topics_s, now_s - auth_s
        assert world.vouching.stands(known, now_s), (topics_s, auth_s)
    for topics_s, auth_s in ((8.1, 8.1), (100, 9), (9, 100)):
        world.topics.current_at, known.vouched_s = now_s - topics_s, now_s - auth_s
        assert not world.vouching.stands(known, now_s), (topics_s, auth_s)
