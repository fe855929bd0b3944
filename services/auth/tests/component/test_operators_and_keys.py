import asyncio
from datetime import timedelta
from uuid import uuid4

import jwt
import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from auth.adapters.sealing import Sealer
from auth.cli import cli
from auth.errors import KeyAlreadyWaitingError
from auth.service import cleaning, keys
from contracts.billing import SubscriptionChanged
from kit.ids import fact_id
from kit.producer import Producer
from kit.testing_commands import called


def _command(auth, *arguments: str, stdin: str = "") -> Result:
    settings = auth.settings
    env = {
        "FAREGATE_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "FAREGATE_PUBLIC_URL": settings.public_url,
        "FAREGATE_AUTH_URL": settings.auth_url,
        "FAREGATE_AUTH_PORT": "8081",
        "FAREGATE_AUTH_DATABASE_URL": settings.database_url.get_secret_value(),
        "FAREGATE_AUTH_KEY_ENCRYPTION_KEY": settings.key_encryption_key.get_secret_value(),
        "FAREGATE_AUTH_SERVICE_SECRET_HASHES": "{}",
    }
    return CliRunner().invoke(cli, list(arguments), env=env, input=stdin)


async def _run(auth, *arguments: str, stdin: str = "") -> str:
    done = await asyncio.to_thread(_command, auth, *arguments, stdin=stdin)
    assert done.exit_code == 0, done.output
    return done.stdout


async def test_an_operator_is_made_once_and_can_sign_in(auth, as_bearer):
    address = f"{uuid4().hex}@example.com"

    first = await _run(auth, "operator", "add", address)
    second = await _run(auth, "operator", "add", address.upper())
    # The runner takes the whole process's output, so another task's log line may stand among ours.
    (password,) = (line.removeprefix("password: ") for line in first.splitlines() if line.startswith("password: "))
    tokens = await auth.login(address, password=password)
    me = (await auth.http.get("/auth/me", headers=as_bearer(tokens))).json()

    assert "password" not in second
    assert "already" in second
    assert (me["user"]["operator"], me["user"]["email_verified"]) == (True, True)
    assert jwt.decode(tokens["access_token"], options={"verify_signature": False})["operator"] is True
    assert len(await auth.events("auth.user-changed.v1", user_id=tokens["user_id"])) == 1


async def test_a_user_becomes_an_operator_and_stops_being_one(auth):
    address = await auth.register()
    tokens = await auth.login(address)

    await _run(auth, "operator", "add", address)
    assert address in await _run(auth, "operator", "list")
    await _run(auth, "operator", "remove", address)
    await _run(auth, "operator", "remove", address)
    assert address not in await _run(auth, "operator", "list")

    states = await auth.events("auth.user-changed.v1", user_id=tokens["user_id"], at_least=3)
    assert sorted((one["data"]["version"], one["data"]["operator"]) for one in states) == [
        (1, False),
        (2, True),
        (3, False),
    ]


async def test_a_new_operators_password_can_come_from_standard_input(auth):
    address = f"{uuid4().hex}@example.com"

    said = await _run(auth, "operator", "add", address, "--password-stdin", stdin="a password from a file\n")
    refused = await asyncio.to_thread(
        _command, auth, "operator", "add", f"{uuid4().hex}@example.com", "--password-stdin", stdin="short\n"
    )

    assert "password" not in said
    assert refused.exit_code == 1
    assert "8 to 256" in refused.stderr
    await auth.login(address, password="a password from a file")


async def test_a_service_without_its_secrets_names_them():
    done = await called(cli, "serve", env={})

    assert done.returncode == 2
    assert "FAREGATE_AUTH_KEY_ENCRYPTION_KEY: is not set" in done.stderr


async def test_a_new_signing_key_is_published_ahead_and_the_old_one_outlives_its_tokens(running, as_bearer):
    async with running() as auth:
        old_tokens = await auth.signed_in()
        old = _kid(old_tokens)
        assert "signs from" in await _rotated(auth)

        auth.clock.advance(30)
        jwks = await auth.http.get("/auth/jwks.json")
        assert jwks.headers["cache-control"] == "public, max-age=300"
        assert {"kty", "crv", "x", "kid", "alg", "use"} == set(jwks.json()["keys"][0])
        new = ({one["kid"] for one in jwks.json()["keys"]} - {old}).pop()
        assert _kid(await auth.signed_in()) == old

        auth.clock.advance(560)
        last_old = await auth.signed_in()
        assert _kid(last_old) == old
        auth.clock.advance(31)
        assert _kid(await auth.signed_in()) == new
        auth.clock.advance(550)
        assert (await auth.http.get("/auth/me", headers=as_bearer(last_old))).status_code == 200

        auth.clock.advance(300)
        assert [one["kid"] for one in (await auth.http.get("/auth/jwks.json")).json()["keys"]] == [new]


async def test_keys_rotate_by_schedule_and_no_call_fails_on_the_way(running, as_bearer):
    async with running() as auth:
        sealer, seen, tokens = Sealer(auth.settings.encryption_key), set(), await auth.signed_in()
        for _ in range(130):
            async with auth.database.transaction() as session:
                await keys.rotate_if_due(session, sealer, after=timedelta(hours=3), now=auth.clock.now())
            last = tokens
            tokens = (await auth.refresh(last["refresh_token"])).json()
            seen.add(_kid(tokens))
            for one in (last, tokens):
                answer = await auth.http.get("/auth/me", headers=as_bearer(one))
                assert answer.status_code == 200, answer.text
            auth.clock.advance(295)

        assert len(seen) == 4
        async with auth.database.transaction() as session:
            kept = await session.scalar(text("SELECT count(*) FROM signing_keys"))
        assert kept <= 2


async def test_keys_are_rotated_and_listed_by_command(running):
    async with running() as auth:
        old = _kid(await auth.signed_in())

        new = (await _run(auth, "keys", "rotate")).split()[0]
        again = await asyncio.to_thread(_command, auth, "keys", "rotate")
        listed = await _run(auth, "keys", "list")

        assert again.exit_code == 1
        assert {new, old} == {line.split()[0] for line in listed.splitlines()}


async def test_a_second_key_must_wait_until_the_first_one_signs(running):
    async with running() as auth:
        await auth.signed_in()
        await _rotated(auth)

        with pytest.raises(KeyAlreadyWaitingError):
            await _rotated(auth)


async def test_private_keys_are_sealed_and_a_wrong_key_makes_auth_not_ready(running):
    async with running() as auth:
        await auth.signed_in()
        url = auth.settings.database_url.get_secret_value()
        async with auth.database.transaction() as session:
            (key,) = await keys.list_keys(session, now=auth.clock.now())
        opened = Sealer(auth.settings.encryption_key).open(key.private_sealed, name=key.id)
        assert len(opened) == 32
        assert opened not in key.private_sealed
    async with running(url=url) as other:
        ready = await other.http.get("/health/ready")
        assert ready.status_code == 503
        assert "KEY_ENCRYPTION_KEY" in ready.json()["failing"]["signing-keys"]


async def test_auth_becomes_ready(auth):
    for _ in range(100):
        ready = await auth.http.get("/health/ready")
        if ready.status_code == 200:
            break
        await asyncio.sleep(0.1)
    assert ready.json() == {"status": "ok", "failing": {}}
    assert (await auth.http.get("/health/live")).status_code == 200


async def test_tokens_show_the_newest_plan_whatever_order_events_come_in(auth):
    tokens = await auth.signed_in()
    producer = Producer(auth.settings.kafka_bootstrap, client_id="test")
    for version, plan, status in ((2, "pro", "active"), (1, "basic", "active")):
        event = _subscription(auth, tokens["account_id"], version, plan, status)
        await producer.send(event.type, event.key.encode(), event.encode("billing"))
    assert await _plan_becomes(auth, tokens, "pro")

    event = _subscription(auth, tokens["account_id"], 3, "pro", "canceled")
    await producer.send(event.type, event.key.encode(), event.encode("billing"))
    assert await _plan_becomes(auth, tokens, None)
    await producer.stop()


async def test_what_is_long_over_is_forgotten_with_a_tombstone(running, as_bearer):
    """(money.md 26)."""
    async with running() as auth:
        tokens = await auth.signed_in()
        made = await auth.make_key(tokens)
        await auth.http.delete(f"/auth/api-keys/{made['id']}", headers=as_bearer(tokens))
        await auth.http.post("/auth/logout", headers=as_bearer(tokens))
        await auth.events("auth.session-revoked.v1", session_id=tokens["session_id"])

        auth.clock.advance(29 * 86_400)
        await _cleaned(auth)
        assert await _tombstones(auth, "auth.session-revoked.v1", tokens["session_id"]) == 0
        auth.clock.advance(2 * 86_400)
        await _cleaned(auth)
        await _cleaned(auth)
        for topic, key in (("auth.session-revoked.v1", tokens["session_id"]), ("auth.api-key-changed.v1", made["id"])):
            for _ in range(50):
                if await _tombstones(auth, topic, key):
                    break
                await asyncio.sleep(0.1)
            assert await _tombstones(auth, topic, key) == 1


async def _cleaned(auth) -> None:
    async with auth.database.transaction() as session:
        await cleaning.clean(session, now=auth.clock.now())


async def _tombstones(auth, topic: str, key: str) -> int:
    return sum(k == key.encode() and value is None for k, value in await auth.records(topic))


async def _rotated(auth) -> str:
    async with auth.database.transaction() as session:
        key = await keys.rotate_key(session, Sealer(auth.settings.encryption_key), now=auth.clock.now())
    return f"{key.id} signs from {key.signs_from}"


def _kid(tokens) -> str:
    return jwt.get_unverified_header(tokens["access_token"])["kid"]


def _subscription(auth, account_id, version: int, plan: str, status: str) -> SubscriptionChanged:
    now = auth.clock.now()
    return SubscriptionChanged(
        id=fact_id("sub", account_id, version),
        time=now,
        account_id=account_id,
        subscription_id=f"sub_{account_id}",
        version=version,
        plan_id=plan,
        plan_version=1,
        status=status,
        current_period_start=now,
        current_period_end=now,
    )


async def _plan_becomes(auth, tokens, plan: str | None) -> bool:
    for _ in range(80):
        tokens = (await auth.refresh(tokens["refresh_token"])).json()
        if jwt.decode(tokens["access_token"], options={"verify_signature": False})["plan"] == plan:
            return True
        await asyncio.sleep(0.1)
    return False
