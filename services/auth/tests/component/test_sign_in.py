import asyncio
from uuid import uuid4

import jwt
from sqlalchemy import text

from auth.adapters.passwords import Passwords


def _network() -> dict[str, str]:
    number = uuid4().int
    return {"x-forwarded-for": f"10.{number % 250}.{number // 250 % 250}.{number // 62500 % 250}"}


async def test_a_registered_user_signs_in_and_sees_themselves(auth, as_bearer):
    address = await auth.register()

    tokens = await auth.login(address)
    me = (await auth.http.get("/auth/me", headers=as_bearer(tokens))).json()

    assert me["user"] == {
        "id": tokens["user_id"],
        "email": address,
        "email_verified": False,
        "operator": False,
        "second_factor": False,
        "deletion_due_at": None,
        "created_at": me["user"]["created_at"],
    }
    assert [(a["id"], a["role"], a["kind"], a["activated"]) for a in me["accounts"]] == [
        (tokens["account_id"], "owner", "personal", True)
    ]
    assert [p["default"] for p in me["accounts"][0]["projects"]] == [True]
    assert me["session_id"] == tokens["session_id"]


async def test_the_token_has_the_claims_of_rfc_9068(auth):
    tokens = await auth.signed_in()

    header = jwt.get_unverified_header(tokens["access_token"])
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})

    assert (header["alg"], header["typ"]) == ("EdDSA", "at+jwt")
    assert claims["iss"] == "http://127.0.0.1:8080"
    assert claims["aud"] == "faregate"
    assert claims["exp"] - claims["iat"] == 600 == tokens["expires_in"]
    assert (claims["sub"], claims["account"], claims["sid"]) == (
        tokens["user_id"],
        tokens["account_id"],
        tokens["session_id"],
    )
    assert (claims["role"], claims["operator"], claims["plan"], len(claims["projects"])) == ("owner", False, None, 1)


async def test_registration_answers_alike_for_known_and_unknown_addresses(auth):
    address = await auth.register()
    known = await auth.http.post("/auth/register", json={"email": address.upper(), "password": "another password"})
    unknown = await auth.http.post(
        "/auth/register", json={"email": f"{uuid4().hex}@example.com", "password": "another password"}
    )

    tokens = await auth.login(address)
    told = await auth.events("auth.message-requested.v1", user_id=tokens["user_id"], kind="already-registered")

    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json()) == (201, {"status": "ok"})
    assert len(told) == 1


async def test_two_registrations_of_one_address_at_once_make_one_user(auth):
    address = f"{uuid4().hex}@example.com"

    await asyncio.gather(*(auth.register(address) for _ in range(5)))

    async with auth.database.transaction() as session:
        count = await session.scalar(text("SELECT count(*) FROM users WHERE address_normal = :a"), {"a": address})
    assert count == 1


async def test_registration_publishes_every_row_it_made(auth):
    """(money.md 26)."""
    tokens = await auth.signed_in()
    account, user = {"account_id": tokens["account_id"]}, {"user_id": tokens["user_id"]}

    created = await auth.events("auth.account-created.v1", **account)
    assert created[0]["data"]["owner_user_id"] == tokens["user_id"]
    for topic, data in (
        ("auth.account-activated.v1", account),
        ("auth.account-changed.v1", account),
        ("auth.project-changed.v1", account),
        ("auth.member-changed.v1", account),
        ("auth.user-changed.v1", user),
        ("auth.message-requested.v1", user),
    ):
        assert len(await auth.events(topic, **data)) == 1, topic


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(auth):
    address = await auth.register()

    wrong = await auth.http.post("/auth/login", json={"email": address, "password": "not the one"})
    unknown = await auth.http.post("/auth/login", json={"email": "nobody@example.com", "password": "not the one"})

    assert wrong.status_code == unknown.status_code == 401
    assert {**wrong.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}
    assert wrong.json()["code"] == "wrong_credentials"


async def test_guessing_gets_slower_and_a_wait_lets_the_owner_in(auth):
    address, network = await auth.register(), _network()
    body = {"email": address, "password": "not the one"}

    answers = [(await auth.http.post("/auth/login", json=body, headers=network)) for _ in range(12)]
    assert {one.status_code for one in answers[:10]} == {401}
    assert [one.status_code for one in answers[10:]] == [429, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1

    elsewhere = await auth.http.post(
        "/auth/login", json={**body, "password": "correct horse battery"}, headers=_network()
    )
    auth.clock.advance(3)
    here = await auth.http.post("/auth/login", json={**body, "password": "correct horse battery"}, headers=network)
    assert (elsewhere.status_code, here.status_code) == (200, 200)


async def test_parallel_guesses_are_counted_before_they_are_judged(auth):
    address, network = await auth.register(), _network()
    body = {"email": address, "password": "not the one"}

    answers = await asyncio.gather(*(auth.http.post("/auth/login", json=body, headers=network) for _ in range(30)))

    assert sum(one.status_code == 401 for one in answers) == 10
    assert sum(one.status_code == 429 for one in answers) == 20


async def test_sign_ups_from_one_network_are_limited(running):
    async with running(signups_per_hour=2) as auth:
        headers = _network()
        answers = [
            await auth.http.post(
                "/auth/register",
                json={"email": f"{uuid4().hex}@example.com", "password": "a long password"},
                headers=headers,
            )
            for _ in range(3)
        ]
        auth.clock.advance(1801)
        later = await auth.http.post(
            "/auth/register",
            json={"email": f"{uuid4().hex}@example.com", "password": "a long password"},
            headers=headers,
        )

    assert [one.status_code for one in answers] == [201, 201, 429]
    assert later.status_code == 201


async def test_a_password_under_old_parameters_is_hashed_anew(running):
    async with running(passwords=Passwords()) as auth:
        tokens = await auth.login(address := await auth.register())
        old = await Passwords(passes=1).hash("correct horse battery")
        async with auth.database.transaction() as session:
            await session.execute(
                text("UPDATE credentials SET password_hash = :h WHERE user_id = :u"), {"h": old, "u": tokens["user_id"]}
            )

        await auth.login(address)

        async with auth.database.transaction() as session:
            kept = await session.scalar(
                text("SELECT password_hash FROM credentials WHERE user_id = :u"), {"u": tokens["user_id"]}
            )
        assert "$m=19456,t=2,p=1$" in kept
        await auth.login(address)
