"""Credentials are verified once and then found at once; what speaks against them counts on every use."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from uuid import UUID, uuid4

import pytest

from contracts.auth import ApiKeyChanged, MemberChanged, SessionRevoked, UserChanged
from gateway.adapters.auth import Asked, ResolvedKey, Standings
from gateway.identity.api_keys import ApiKeys, UnknownKeyError
from gateway.identity.credential import Credential, NetworkError
from gateway.identity.credentials import Credentials
from gateway.identity.presented import NoCredentialError
from kit import apikeys
from kit.clock import ManualClock
from kit.errors import UnauthenticatedError, UnavailableError
from kit.identity import Revocations, RevokedError
from kit.testing import Signer
from kit.tokens import Caller, ExpiredTokenError, InvalidTokenError

from ..identity_parts import ISSUER, identity_parts  # noqa: TID252  # tests are no package


@dataclass
class Auth:
    """Auth as the gateway asks it."""

    tokens: dict[str, ResolvedKey] = field(default_factory=dict)
    away: bool = False
    asked: int = 0

    async def resolve(self, key: str) -> ResolvedKey | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise UnavailableError("away")
        return self.tokens.get(key)

    async def recheck(self, asked: Asked) -> Standings:
        return Standings()


@dataclass
class World:
    clock: ManualClock
    signer: Signer
    auth: Auth
    revocations: Revocations
    api_keys: ApiKeys
    credentials: Credentials

    def key(self, **given: object) -> tuple[str, UUID]:
        key, api_key_id = apikeys.make("test"), uuid4()
        lifetime_s = float(given.pop("lifetime_s", 600))  # type: ignore[arg-type]
        token = self.signer.user_token(account_id=uuid4(), api_key_id=api_key_id, lifetime_s=lifetime_s)
        self.auth.tokens[key] = ResolvedKey(token, lifetime_s, **given)  # type: ignore[arg-type]
        return key, api_key_id

    def key_event(self, key: str, api_key_id: UUID, state: str) -> ApiKeyChanged:
        return ApiKeyChanged(
            id=uuid4(),
            time=self.clock.now(),
            account_id=uuid4(),
            api_key_id=api_key_id,
            user_id=uuid4(),
            version=1,
            state=state,  # type: ignore[arg-type]
            key_sha256=apikeys.sha256_hex(key),
        )

    def learn(self, event: ApiKeyChanged) -> None:
        self.revocations.on_key(event)
        self.api_keys.on_changed(event)


@pytest.fixture
def world() -> World:
    clock = ManualClock()
    signer, auth = Signer(issuer=ISSUER, clock=clock), Auth()
    parts = identity_parts(auth, signer, clock=clock, most=1000)
    return World(clock, signer, auth, parts.revocations, parts.api_keys, parts.credentials)


def bearer(credential: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), (b"authorization", b"Bearer " + credential.encode()), (b"accept", b"*/*")]


def x_api_key(credential: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-api-key", credential.encode())]


@pytest.mark.parametrize("as_header", [bearer, x_api_key, lambda text: bearer(text) + x_api_key(text)])
@pytest.mark.parametrize("kind", ["key", "token"])
async def test_a_credential_is_asked_about_once_and_then_known(
    world: World, as_header: Callable[[str], list[tuple[bytes, bytes]]], kind: str
) -> None:
    text = world.key()[0] if kind == "key" else world.signer.user_token(account_id=uuid4())

    assert world.credentials.now(as_header(text)) is None
    asked = await world.credentials.of(as_header(text))

    assert world.credentials.now(as_header(text)) is asked
    assert world.auth.asked == (1 if kind == "key" else 0)


BAD = {
    "none": [],
    "basic": [(b"authorization", b"Basic YTpi")],
    "empty": [(b"authorization", b"Bearer ")],
    "garbage": bearer("garbage"),
    "huge": bearer("e" * 100_000),
    "two different": bearer("fg_test_" + "0" * 38) + x_api_key("fg_test_" + "1" * 38),
    "authorization twice": bearer("a.b.c") + bearer("a.b.d"),
    "mistyped key": x_api_key("fg_test_" + "0" * 38),
    "key with a strange byte": [(b"x-api-key", b"fg_test_\xff" + b"0" * 37)],
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_bad_by_its_form_is_refused_without_asking_anybody(world: World, name: str) -> None:
    with pytest.raises(InvalidTokenError):
        world.credentials.now(BAD[name])
    assert world.auth.asked == 0


def test_no_credential_is_told_from_a_bad_one(world: World) -> None:
    with pytest.raises(NoCredentialError):
        world.credentials.now([(b"accept", b"*/*")])


async def test_two_good_credentials_that_differ_are_refused(world: World) -> None:
    key, other = world.key()[0], world.key()[0]
    token = world.signer.user_token(account_id=uuid4())
    for headers in (x_api_key(key), x_api_key(other), bearer(token)):
        assert await world.credentials.of(headers)

    for headers in (bearer(token) + x_api_key(key), x_api_key(key) + x_api_key(other), x_api_key(key) + bearer(other)):
        with pytest.raises(InvalidTokenError):
            world.credentials.now(headers)


async def test_a_known_token_is_refused_the_moment_it_expires(world: World) -> None:
    headers = bearer(world.signer.user_token(account_id=uuid4(), lifetime_s=60))
    await world.credentials.of(headers)
    world.clock.advance(64)
    assert world.credentials.now(headers)

    world.clock.advance(1.1)
    with pytest.raises(ExpiredTokenError):
        world.credentials.now(headers)


async def test_an_expired_token_is_verified_once(world: World) -> None:
    headers = bearer(world.signer.user_token(account_id=uuid4(), lifetime_s=-60))
    with pytest.raises(ExpiredTokenError):
        await world.credentials.of(headers)
    with pytest.raises(ExpiredTokenError):
        world.credentials.now(headers)


async def test_a_forged_token_is_refused(world: World) -> None:
    forged = Signer(issuer=ISSUER, clock=world.clock).user_token(account_id=uuid4())
    with pytest.raises(InvalidTokenError):
        await world.credentials.of(bearer(forged))


async def test_a_revocation_counts_on_the_next_use_of_a_known_credential(world: World) -> None:
    ids = {"account_id": uuid4(), "user_id": uuid4()}
    session_id = uuid4()
    headers = bearer(world.signer.user_token(**ids, session_id=session_id))
    other = bearer(world.signer.user_token(account_id=uuid4()))
    await world.credentials.of(headers)
    await world.credentials.of(other)

    world.revocations.on_session(
        SessionRevoked(
            id=uuid4(),
            time=world.clock.now(),
            session_id=session_id,
            user_id=ids["user_id"],
            expires_at=world.clock.now(),
        )
    )

    with pytest.raises(RevokedError):
        world.credentials.now(headers)
    with pytest.raises(RevokedError):
        await world.credentials.of(headers)
    assert world.credentials.now(other)


async def test_a_changed_role_counts_on_the_next_use_and_back_again(world: World) -> None:
    ids = {"account_id": uuid4(), "user_id": uuid4()}
    headers = bearer(world.signer.user_token(**ids, role="owner"))
    await world.credentials.of(headers)

    for version, role, state in ((2, "user", "active"), (3, "admin", "active"), (4, "admin", "removed")):
        world.revocations.on_member(
            MemberChanged(id=uuid4(), time=world.clock.now(), **ids, version=version, role=role, state=state)
        )
        if state == "active":
            credential = world.credentials.now(headers)
            assert credential is not None
            assert credential.caller.role == role
        else:
            with pytest.raises(RevokedError):
                world.credentials.now(headers)


async def test_a_disabled_user_is_refused_and_let_in_again(world: World) -> None:
    user_id = uuid4()
    headers = bearer(world.signer.user_token(account_id=uuid4(), user_id=user_id))
    await world.credentials.of(headers)

    def changed(version: int, state: str) -> UserChanged:
        values = {"user_id": user_id, "version": version, "state": state, "operator": False}
        return UserChanged(id=uuid4(), time=world.clock.now(), **values)

    world.revocations.on_user(changed(2, "disabled"))
    with pytest.raises(RevokedError):
        world.credentials.now(headers)
    world.revocations.on_user(changed(3, "active"))
    assert world.credentials.now(headers)


async def test_a_revoked_key_is_refused_for_good_without_asking(world: World) -> None:
    key, api_key_id = world.key()
    await world.credentials.of(x_api_key(key))

    world.learn(world.key_event(key, api_key_id, "revoked"))

    with pytest.raises(UnauthenticatedError):
        world.credentials.now(x_api_key(key))
    with pytest.raises(UnknownKeyError):
        await world.credentials.of(x_api_key(key))
    assert world.auth.asked == 1


async def test_an_unknown_key_is_unknown_for_five_seconds_or_until_it_is_heard_of(world: World) -> None:
    key = apikeys.make("live")
    for _ in range(10):
        with pytest.raises(UnknownKeyError):
            await world.credentials.of(x_api_key(key))
    assert world.auth.asked == 1

    _, api_key_id = world.key()
    world.auth.tokens[key] = ResolvedKey(world.signer.user_token(account_id=uuid4(), api_key_id=api_key_id), 600)
    with pytest.raises(UnknownKeyError):
        await world.credentials.of(x_api_key(key))
    world.learn(world.key_event(key, api_key_id, "active"))
    assert await world.credentials.of(x_api_key(key))

    other = apikeys.make("live")
    for _ in range(2):
        with pytest.raises(UnknownKeyError):
            await world.credentials.of(x_api_key(other))
        world.clock.advance(5.1)
    assert world.auth.asked == 4


async def test_a_key_in_use_is_renewed_before_its_token_ends_and_nobody_waits(world: World) -> None:
    key, _ = world.key(lifetime_s=600)
    first = await world.credentials.of(x_api_key(key))
    world.clock.advance(545)
    world.auth.tokens[key] = ResolvedKey(world.signer.user_token(account_id=uuid4()), 600)

    assert world.credentials.now(x_api_key(key)) is first
    await asyncio.sleep(0.01)

    renewed = world.credentials.now(x_api_key(key))
    assert renewed is not None
    assert renewed.access_token != first.access_token
    assert world.auth.asked == 2


async def test_a_key_that_cannot_be_renewed_is_good_until_its_token_ends_then_unavailable(world: World) -> None:
    key, _ = world.key(lifetime_s=600)
    await world.credentials.of(x_api_key(key))
    world.auth.away = True
    for _ in range(3):
        world.clock.advance(190)
        assert world.credentials.now(x_api_key(key))
        await asyncio.sleep(0.01)
    world.clock.advance(30)

    with pytest.raises(UnavailableError):
        await world.credentials.of(x_api_key(key))


async def test_a_key_that_was_deleted_is_noticed_at_its_renewal(world: World) -> None:
    key, _ = world.key(lifetime_s=600)
    await world.credentials.of(x_api_key(key))
    del world.auth.tokens[key]
    world.clock.advance(545)

    async def asked_until_refused() -> None:
        while True:
            world.credentials.now(x_api_key(key))
            await asyncio.sleep(0.01)

    with pytest.raises(UnknownKeyError):
        await asyncio.wait_for(asked_until_refused(), timeout=10)


async def test_a_token_of_auth_that_we_cannot_read_is_our_fault(world: World) -> None:
    key = apikeys.make("live")
    world.auth.tokens[key] = ResolvedKey("nonsense", 600)
    with pytest.raises(UnavailableError):
        await world.credentials.of(x_api_key(key))


async def test_one_caller_who_leaves_does_not_fail_the_others(world: World) -> None:
    key, _ = world.key()
    first = asyncio.create_task(world.credentials.of(x_api_key(key)))
    second = asyncio.create_task(world.credentials.of(x_api_key(key)))
    await asyncio.sleep(0)
    first.cancel()

    assert await second
    assert world.auth.asked == 1


async def test_the_number_of_known_credentials_is_bounded(world: World) -> None:
    account_id = uuid4()
    tokens = [world.signer.user_token(account_id=account_id) for _ in range(1100)]
    for token in tokens:
        await world.credentials.of(bearer(token))

    assert len(world.credentials.in_use()) == 1000
    assert world.credentials.now(bearer(tokens[0])) is None
    assert world.credentials.now(bearer(tokens[-1]))


ALLOWED = ["10.1.2.3", "10.255.0.1", "::ffff:10.1.2.3", "2001:db8::1"]
NOT_ALLOWED = ["11.0.0.1", "2001:db9::1", "", "unix", "::ffff:11.0.0.1"]


@pytest.mark.parametrize("peer", ALLOWED + NOT_ALLOWED)
async def test_a_key_bound_to_networks_is_refused_elsewhere(world: World, peer: str) -> None:
    key, _ = world.key(allowed_networks=("10.0.0.0/8", "2001:db8::/32"))
    headers = x_api_key(key)

    if peer in ALLOWED:
        assert ip_address(peer)
        assert await world.credentials.of(headers, peer=peer)
        assert world.credentials.now(headers, peer=peer)
        return
    for _ in range(2):
        with pytest.raises(NetworkError):
            await world.credentials.of(headers, peer=peer)
    with pytest.raises(NetworkError):
        world.credentials.now(headers)


async def test_networks_that_cannot_be_read_allow_nobody(world: World) -> None:
    key, _ = world.key(allowed_networks=("everywhere",))
    with pytest.raises(NetworkError):
        await world.credentials.of(x_api_key(key), peer="10.0.0.1")


def test_a_credentials_text_is_not_in_its_representation() -> None:
    caller = Caller(uuid4(), uuid4(), "owner", False, None, None, None, None, (), ManualClock().now())
    assert "secret-token" not in repr(Credential(caller, "secret-token"))
