"""One token for clients that cannot refresh, where the operator allows it."""

import jwt
import pytest_asyncio

PASSWORD = "correct horse battery"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def allowing(running):
    async with running(session_keys=True) as auth:
        yield auth


async def _login(auth) -> tuple[str, dict]:
    address = await auth.register()
    answer = await auth.http.post("/login", json={"email": address, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return address, answer.json()


async def test_without_the_setting_the_older_path_gives_an_access_token(auth):
    _, answer = await _login(auth)

    assert answer["token"] == answer["access_token"]
    assert (answer["expires_in"], answer["refresh_token"][:4]) == (600, "fgr_")
    assert (await auth.call("GET", "/auth/me", answer)).status_code == 200


async def test_a_session_key_stands_for_its_session_for_thirty_days(allowing):
    _, answer = await _login(allowing)
    assert answer["token"].startswith("fg_session_")
    assert (answer["expires_in"], answer["refresh_token"]) == (30 * 86_400, None)

    resolved = (await allowing.resolve(answer["token"])).json()
    claims = jwt.decode(resolved["access_token"], options={"verify_signature": False})
    me = await allowing.call("GET", "/auth/me", resolved)
    allowing.clock.advance(29 * 86_400)
    late = await allowing.resolve(answer["token"])
    allowing.clock.advance(86_400)
    over = await allowing.resolve(answer["token"])

    assert (claims["sid"], claims["sub"]) == (answer["session_id"], answer["user_id"])
    assert me.json()["session_id"] == answer["session_id"]
    assert (late.status_code, over.status_code) == (200, 404)


async def test_a_session_key_ends_with_its_session_whoever_ends_that(allowing):
    address, one = await _login(allowing)
    other = (await allowing.http.post("/login", json={"email": address, "password": PASSWORD})).json()
    tokens = await allowing.login(address)
    held = (await allowing.resolve(one["token"])).json()

    listed = (await allowing.call("GET", "/auth/sessions", tokens)).json()["items"]
    await allowing.call("DELETE", f"/auth/sessions/{one['session_id']}", tokens)
    revoked = await allowing.http.post("/auth/revoke", data={"token": other["token"]})

    assert {one["session_id"], other["session_id"]} < {shown["id"] for shown in listed}
    assert revoked.status_code == 200
    for key in (one, other):
        assert (await allowing.resolve(key["token"])).status_code == 404
        assert await allowing.events("auth.session-revoked.v1", session_id=key["session_id"])
    assert (await allowing.call("GET", "/auth/me", held)).status_code == 401


async def test_a_session_key_is_kept_as_a_hash_and_a_mistyped_one_is_none(allowing):
    _, answer = await _login(allowing)
    async with allowing.database.reading() as session:
        connection = await session.connection()
        rows = str((await connection.exec_driver_sql("SELECT * FROM session_keys")).all())

    assert answer["token"] not in rows
    assert (await allowing.resolve(answer["token"][:-1] + "x")).status_code == 404


async def test_a_wrong_password_gives_no_session_key(allowing):
    address, _ = await _login(allowing)

    answer = await allowing.http.post("/login", json={"email": address, "password": "not the one"})

    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")


async def test_a_leaked_session_key_ends_its_session_and_its_owner_is_told_once(allowing):
    _, answer = await _login(allowing)

    reports = [await allowing.http.post("/auth/leaks", json=[{"token": answer["token"]}]) for _ in range(2)]
    wrong = await allowing.http.post("/auth/leaks", json=[{"token": "fg_session_nothing"}])
    torn = b'[{"token": "fg_session_\\ud800"}]'
    half = await allowing.http.post("/auth/leaks", content=torn, headers={"content-type": "application/json"})

    assert [one.json()[0]["label"] for one in (*reports, wrong, half)] == [
        *["true_positive"] * 2,
        *["false_positive"] * 2,
    ]
    assert (await allowing.resolve(answer["token"])).status_code == 404
    told = await allowing.events("auth.message-requested.v1", user_id=answer["user_id"], kind="key-leaked")
    assert len(told) == 1
