"""Two gateways' identity parts on a real Kafka, with auth over HTTP: how long anything revoked keeps working."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx2
import orjson
import pytest

from contracts.auth import ApiKeyChanged, MemberChanged, SessionRevoked, UserChanged
from contracts.event import Event
from gateway.adapters.auth import AuthKeyResolver, AuthRechecker
from gateway.identity.api_keys import ApiKeys
from gateway.identity.credentials import Credentials
from gateway.identity.flood import UnknownCredentials
from gateway.identity.vouching import COVERED_S, Vouching
from kit import apikeys
from kit.clock import SystemClock
from kit.errors import DomainError
from kit.identity import Revocations, ServiceTokens
from kit.producer import Producer, ProducerError
from kit.state import StateReader
from kit.tasks import Tasks
from kit.testing import Signer
from kit.tokens import TokenVerifier

pytestmark = pytest.mark.long

ISSUER = "http://faregate.test"
PATIENCE_S = 14.0
Headers = list[tuple[bytes, bytes]]


@dataclass
class Auth:
    """Auth's internal routes, as far as a gateway asks them; `away` breaks the connection."""

    signer: Signer = field(default_factory=lambda: Signer(issuer=ISSUER))
    ended_sessions: set[str] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)
    away: bool = False
    rechecks: int = 0

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if self.away:
            raise httpx2.ConnectError("nobody listens")
        body = orjson.loads(request.content)
        if request.url.path == "/internal/service-tokens":
            return httpx2.Response(200, json={"access_token": "of the gateway", "expires_in": 300})
        assert request.headers["authorization"] == "Bearer of the gateway"
        if request.url.path == "/internal/api-keys/resolve":
            token = self.keys.get(body["key"])
            if token is None:
                return httpx2.Response(404, json={"code": "unknown_api_key"})
            return httpx2.Response(200, json={"access_token": token, "expires_in": 600})
        assert request.url.path == "/internal/credentials/recheck"
        self.rechecks += 1
        ended = sorted(self.ended_sessions & set(body["sessions"]))
        return httpx2.Response(200, json={"api_keys": [], "sessions": ended, "users": [], "members": []})


class Node:
    """One gateway process as far as credentials go."""

    def __init__(self, bootstrap: str, auth: Auth, *, name: str) -> None:
        clock, revocations = SystemClock(), Revocations()
        self.http = httpx2.AsyncClient(transport=httpx2.MockTransport(auth))
        tokens = ServiceTokens(service="gateway", secret="s", auth_url="http://auth", http=self.http, clock=clock)
        verifier = TokenVerifier(auth.signer, issuer=ISSUER, clock=clock, cached=0)
        unknown = UnknownCredentials(clock=clock)
        resolver = AuthKeyResolver("http://auth", http=self.http, tokens=tokens)
        api_keys = ApiKeys(resolver, verifier, clock=clock, unknown=unknown)

        def on_key(event: ApiKeyChanged) -> None:
            revocations.on_key(event)
            api_keys.on_changed(event)

        handlers = {
            SessionRevoked: revocations.on_session,
            UserChanged: revocations.on_user,
            MemberChanged: revocations.on_member,
            ApiKeyChanged: on_key,
        }
        self.reader = StateReader(bootstrap, handlers, clock=clock, client_id=name)  # type: ignore[arg-type]  # each takes its own type
        rechecker = AuthRechecker("http://auth", http=self.http, tokens=tokens)
        vouching = Vouching(self.reader, rechecker, revocations, clock=clock, patience_s=PATIENCE_S)
        self.credentials = Credentials(verifier, revocations, api_keys, clock=clock, vouching=vouching, unknown=unknown)
        self.tasks = Tasks()
        self.tasks.start("state", self.reader.run())
        self.tasks.start("vouching", vouching.run(self.credentials.in_use))

    async def use(self, headers: Headers) -> str:
        try:
            await self.credentials.of(headers)
        except DomainError as error:
            return error.code
        return "ok"


@dataclass
class World:
    auth: Auth
    nodes: list[Node]
    producer: Producer

    async def use(self, headers: Headers) -> set[str]:
        return {await node.use(headers) for node in self.nodes}

    async def seconds_until(self, headers: Headers, code: str, *, within_s: float) -> float:
        """How long until every node answers so."""
        began = time.monotonic()
        async with asyncio.timeout(within_s):
            while await self.use(headers) != {code}:  # noqa: ASYNC110  # what other parts do
                await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def publish(self, event: Event) -> None:
        async with asyncio.timeout(30):
            while True:
                try:
                    return await self.producer.send(event.type, event.key.encode(), event.encode("auth"))
                except ProducerError:
                    await asyncio.sleep(0.2)

    def session(self, **ids: UUID) -> tuple[Headers, UUID]:
        session_id = uuid4()
        text = self.auth.signer.user_token(**{"account_id": uuid4(), **ids}, session_id=session_id)
        return [(b"authorization", b"Bearer " + text.encode())], session_id


@pytest.fixture
async def world(stack, topics) -> AsyncIterator[World]:
    auth = Auth()
    nodes = [Node(stack.kafka_bootstrap, auth, name=f"node-{number}") for number in range(2)]
    producer = Producer(stack.kafka_bootstrap, client_id="test")
    async with asyncio.timeout(30):
        for node in nodes:
            await node.reader.caught_up.wait()
    yield World(auth, nodes, producer)
    for node in nodes:
        await node.tasks.stop()
        await node.http.aclose()
    await producer.stop()


@contextlib.asynccontextmanager
async def kafka_stopped(stack) -> AsyncIterator[None]:
    await stack.kafka.stop()
    try:
        yield
    finally:
        await stack.kafka.start()


def ended(session_id: UUID) -> SessionRevoked:
    now = datetime.now(UTC)
    later = now + timedelta(minutes=10)
    return SessionRevoked(id=uuid4(), time=now, session_id=session_id, user_id=uuid4(), expires_at=later)


async def test_what_is_revoked_stops_on_two_nodes_within_five_seconds(world: World) -> None:
    ids = {"account_id": uuid4(), "user_id": uuid4()}
    now = datetime.now(UTC)
    key, api_key_id = apikeys.make("test"), uuid4()
    world.auth.keys[key] = world.auth.signer.user_token(account_id=uuid4(), api_key_id=api_key_id)
    by_session, session_id = world.session()
    by_user, _ = world.session(**ids)
    by_member, _ = world.session(account_id=ids["account_id"], user_id=(other := uuid4()))
    by_key = [(b"x-api-key", key.encode())]
    untouched, _ = world.session()
    for headers in (by_session, by_user, by_member, by_key, untouched):
        assert await world.use(headers) == {"ok"}

    await world.publish(ended(session_id))
    await world.publish(
        UserChanged(id=uuid4(), time=now, user_id=ids["user_id"], version=2, state="disabled", operator=False)
    )
    member = {"account_id": ids["account_id"], "user_id": other, "version": 2, "role": "owner", "state": "removed"}
    await world.publish(MemberChanged(id=uuid4(), time=now, **member))
    whose = {"account_id": uuid4(), "user_id": uuid4(), "version": 2, "state": "revoked"}
    digest = apikeys.sha256_hex(key)
    await world.publish(ApiKeyChanged(id=uuid4(), time=now, api_key_id=api_key_id, key_sha256=digest, **whose))

    for headers in (by_session, by_user, by_member):
        await world.seconds_until(headers, "revoked", within_s=5)
    await world.seconds_until(by_key, "unknown_api_key", within_s=5)
    assert await world.use(untouched) == {"ok"}
    assert world.auth.rechecks == 0


async def test_the_bound_of_revoked_holds_without_kafka_and_ends_without_auth(world: World, stack) -> None:
    good, _ = world.session()
    bad, bad_session = world.session()
    later, later_session = world.session()
    for headers in (good, bad, later):
        assert await world.use(headers) == {"ok"}

    async with kafka_stopped(stack):
        world.auth.ended_sessions.add(str(bad_session))
        assert await world.seconds_until(bad, "revoked", within_s=COVERED_S + 4) < COVERED_S + 2
        assert await world.use(good) == {"ok"}
        never_seen, session_id = world.session()
        world.auth.ended_sessions.add(str(session_id))
        await world.seconds_until(never_seen, "revoked", within_s=COVERED_S + 2)

        await asyncio.sleep(0.5)
        world.auth.away = True
        assert await world.use(good) == {"ok"}
        lasted_s = await world.seconds_until(good, "unavailable", within_s=PATIENCE_S + 8)
        assert COVERED_S - 1 < lasted_s < PATIENCE_S + 3
        assert await world.use(world.session()[0]) == {"unavailable"}

        world.auth.away = False
        await world.seconds_until(good, "ok", within_s=5)

    await world.publish(ended(later_session))
    await world.seconds_until(later, "revoked", within_s=30)
    async with asyncio.timeout(20):
        while any(node.reader.age_s() > 3 for node in world.nodes):  # noqa: ASYNC110  # another program's state
            await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    rechecks = world.auth.rechecks
    await asyncio.sleep(6)
    assert world.auth.rechecks == rechecks
    assert await world.use(good) == {"ok"}
