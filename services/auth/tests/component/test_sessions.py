import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text


async def test_a_refresh_token_is_replaced_at_each_use(auth, as_bearer):
    tokens = await auth.signed_in()

    first = (await auth.refresh(tokens["refresh_token"])).json()
    second = (await auth.refresh(first["refresh_token"])).json()

    assert len({tokens["refresh_token"], first["refresh_token"], second["refresh_token"]}) == 3
    assert first["session_id"] == tokens["session_id"]
    assert (await auth.http.get("/auth/me", headers=as_bearer(second))).status_code == 200


async def test_a_lost_answer_is_given_again_within_the_grace(auth):
    tokens = await auth.signed_in()

    first = (await auth.refresh(tokens["refresh_token"])).json()
    auth.clock.advance(9)
    again = (await auth.refresh(tokens["refresh_token"])).json()

    assert again["refresh_token"] == first["refresh_token"]


async def test_using_an_old_refresh_token_ends_the_family(auth, as_bearer):
    tokens = await auth.signed_in()
    first = (await auth.refresh(tokens["refresh_token"])).json()
    auth.clock.advance(11)

    reused = await auth.refresh(tokens["refresh_token"])
    successor = await auth.refresh(first["refresh_token"])
    revoked = await auth.events("auth.session-revoked.v1", session_id=tokens["session_id"])

    assert (reused.status_code, reused.json()["code"]) == (401, "refresh_token_reused")
    assert (successor.status_code, successor.json()["code"]) == (401, "invalid_refresh_token")
    assert revoked[0]["data"]["user_id"] == tokens["user_id"]
    await _refused_soon(auth, as_bearer(first))


async def test_two_hundred_parallel_refreshes_end_in_one_family(running):
    """At two processes, which share nothing but the database and its key."""
    async with running() as first:
        known = {"key_encryption_key": first.settings.key_encryption_key, "manual": first.clock}
        async with running(url=first.settings.database_url.get_secret_value(), **known) as second:
            tokens = await first.signed_in()
            both = (first, second) * 100

            answers = await asyncio.gather(*(auth.refresh(tokens["refresh_token"]) for auth in both))

        async with first.database.transaction() as session:
            chain = await session.scalar(
                text("SELECT count(*) FROM refresh_tokens WHERE session_id = :s"), {"s": tokens["session_id"]}
            )

    assert {one.status_code for one in answers} == {200}
    assert len({one.json()["refresh_token"] for one in answers}) == 1
    assert chain == 2


@pytest.mark.parametrize("way", ["its owner logs out", "an old token is used again"])
async def test_a_session_that_ends_while_it_is_refreshed_elsewhere_leaves_no_token_that_works(running, as_bearer, way):
    """At two processes: whoever comes first, the end is the end."""
    async with running() as first:
        known = {"key_encryption_key": first.settings.key_encryption_key, "manual": first.clock}
        async with running(url=first.settings.database_url.get_secret_value(), **known) as second:
            for _ in range(8):
                old = await first.signed_in()
                now = (await first.refresh(old["refresh_token"])).json()
                first.clock.advance(11)
                end = (
                    first.http.post("/auth/logout", headers=as_bearer(now))
                    if way == "its owner logs out"
                    else first.refresh(old["refresh_token"])
                )

                ended, *refreshed = await asyncio.gather(
                    end, *(auth.refresh(now["refresh_token"]) for auth in (second, first, second))
                )

                assert ended.status_code in {200, 401}
                assert {one.status_code for one in refreshed} <= {200, 401}
                held = {now["refresh_token"]} | {one.json().get("refresh_token", "") for one in refreshed}
                assert {(await second.refresh(token)).status_code for token in held if token} == {401}


async def test_a_session_ends_after_thirty_days_whatever_it_did(running):
    async with running() as auth:
        tokens = await auth.signed_in()
        auth.clock.advance(29 * 86_400)
        tokens = (await auth.refresh(tokens["refresh_token"])).json()
        auth.clock.advance(2 * 86_400)

        assert (await auth.refresh(tokens["refresh_token"])).status_code == 401


async def test_logging_out_ends_this_session_at_once_and_says_until_when(auth, as_bearer):
    address = await auth.register()
    here, there = await auth.login(address), await auth.login(address)

    assert (await auth.http.post("/auth/logout", headers=as_bearer(here))).status_code == 200

    assert (await auth.http.get("/auth/me", headers=as_bearer(here))).json()["code"] == "revoked"
    assert (await auth.refresh(here["refresh_token"])).status_code == 401
    assert (await auth.http.get("/auth/me", headers=as_bearer(there))).status_code == 200
    revoked = await auth.events("auth.session-revoked.v1", session_id=here["session_id"])
    until = datetime.fromisoformat(revoked[0]["data"]["expires_at"])
    assert until == auth.clock.now() + timedelta(minutes=10)


async def test_logging_out_everywhere_ends_all_sessions(auth, as_bearer):
    address = await auth.register()
    here, there = await auth.login(address), await auth.login(address)

    await auth.http.post("/auth/logout", json={"all": True}, headers=as_bearer(here))

    for tokens in (here, there):
        assert (await auth.http.get("/auth/me", headers=as_bearer(tokens))).json()["code"] == "revoked"
        assert len(await auth.events("auth.session-revoked.v1", session_id=tokens["session_id"])) == 1


async def test_sessions_are_listed_in_pages_and_one_can_be_ended(auth, as_bearer):
    address = await auth.register()
    all_tokens = [await auth.login(address) for _ in range(3)]
    headers = as_bearer(all_tokens[0])

    first = (await auth.http.get("/auth/sessions?limit=2", headers=headers)).json()
    second = (await auth.http.get(f"/auth/sessions?limit=2&cursor={first['next_cursor']}", headers=headers)).json()
    listed = first["items"] + second["items"]
    assert {one["id"] for one in listed} == {one["session_id"] for one in all_tokens}
    assert [one["id"] for one in listed if one["current"]] == [all_tokens[0]["session_id"]]
    assert second["next_cursor"] is None

    other = all_tokens[1]["session_id"]
    assert (await auth.http.delete(f"/auth/sessions/{other}", headers=headers)).status_code == 200
    assert (await auth.http.delete(f"/auth/sessions/{other}", headers=headers)).status_code == 404


async def test_nobody_ends_the_sessions_of_others(auth, as_bearer):
    mine, theirs = await auth.signed_in(), await auth.signed_in()

    answer = await auth.http.delete(f"/auth/sessions/{theirs['session_id']}", headers=as_bearer(mine))

    assert answer.status_code == 404
    assert (await auth.http.get("/auth/me", headers=as_bearer(theirs))).status_code == 200


async def _refused_soon(auth, headers) -> None:
    """The revocation comes back through Kafka."""
    for _ in range(50):
        if (await auth.http.get("/auth/me", headers=headers)).status_code == 401:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the access token of an ended session still works after 5 s")


async def test_who_has_the_refresh_token_can_end_its_session(auth, as_bearer):
    tokens, other = await auth.signed_in(), await auth.signed_in()
    second = (await auth.refresh(tokens["refresh_token"])).json()

    answers = [
        await auth.http.post("/auth/revoke", data={"token": one, "token_type_hint": "refresh_token"})
        for one in (tokens["refresh_token"], second["refresh_token"], "nonsense")
    ]
    empty = await auth.http.post("/auth/revoke", content=b"\xff\x00")
    huge = await auth.http.post("/auth/revoke", data={"token": "x" * 20_000})

    assert {one.status_code for one in answers} == {200}
    assert [(one.status_code, one.json()["error"]) for one in (empty, huge)] == [(400, "invalid_request")] * 2
    assert (await auth.refresh(second["refresh_token"])).status_code == 401
    assert (await auth.http.get("/auth/me", headers=as_bearer(second))).status_code == 401
    assert len(await auth.events("auth.session-revoked.v1", session_id=tokens["session_id"])) == 1
    assert (await auth.refresh(other["refresh_token"])).status_code == 200
