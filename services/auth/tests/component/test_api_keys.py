import asyncio
from datetime import timedelta
from uuid import UUID

import jwt
import pytest
from sqlalchemy import text

from auth.domain.people import Member
from auth.service import facts
from kit import apikeys, outbox


async def test_a_key_is_shown_once_and_kept_as_a_hash(auth, as_bearer):
    tokens = await auth.signed_in()

    made = await auth.make_key(tokens, mode="live", name="editor", expires_in_days=30)
    listed = (await auth.http.get("/auth/api-keys", headers=as_bearer(tokens))).json()["items"]
    events = await auth.events("auth.api-key-changed.v1", api_key_id=made["id"])

    assert apikeys.well_formed(made["key"])
    assert (made["prefix"], made["last4"]) == ("fg_live_", made["key"][-4:])
    assert [one["id"] for one in listed] == [made["id"]]
    assert "key" not in listed[0]
    assert listed[0]["project_id"] is not None
    assert events[0]["data"]["key_sha256"] == apikeys.sha256_hex(made["key"])
    assert made["key"] not in str(events)
    async with auth.database.transaction() as session:
        rows = (await session.execute(text("SELECT * FROM api_keys WHERE id = :id"), {"id": made["id"]})).all()
    assert made["key"] not in str(rows)


async def test_keys_are_listed_newest_first_in_pages(auth, as_bearer):
    tokens = await auth.signed_in()
    ids = []
    for _ in range(3):
        auth.clock.advance(0.01)
        ids.append((await auth.make_key(tokens))["id"])

    first = (await auth.http.get("/auth/api-keys?limit=2", headers=as_bearer(tokens))).json()
    cursor = first["next_cursor"]
    second = (await auth.http.get(f"/auth/api-keys?limit=2&cursor={cursor}", headers=as_bearer(tokens))).json()

    assert [one["id"] for one in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


async def test_the_gateway_gets_a_token_for_a_key_and_none_after_it_is_revoked(auth, as_bearer):
    tokens = await auth.signed_in()
    made = await auth.make_key(tokens)

    resolved = await auth.resolve(made["key"])
    claims = jwt.decode(resolved.json()["access_token"], options={"verify_signature": False})
    assert resolved.status_code == 200
    assert (claims["api_key"], claims["account"], claims["sub"], claims["project"], claims["scope"]) == (
        made["id"],
        tokens["account_id"],
        tokens["user_id"],
        made["project_id"],
        "",
    )
    assert "sid" not in claims
    assert {name: resolved.json()[name] for name in ("api_key_id", "account_id", "user_id", "role", "plan")} == {
        "api_key_id": made["id"],
        "account_id": tokens["account_id"],
        "user_id": tokens["user_id"],
        "role": "owner",
        "plan": None,
    }

    revoked = await auth.http.delete(f"/auth/api-keys/{made['id']}", headers=as_bearer(tokens))
    again = await auth.http.delete(f"/auth/api-keys/{made['id']}", headers=as_bearer(tokens))
    assert (revoked.json()["state"], again.status_code) == ("revoked", 200)
    gone = await auth.resolve(made["key"])
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_api_key")
    states = await auth.events("auth.api-key-changed.v1", api_key_id=made["id"], at_least=2)
    assert sorted((one["data"]["version"], one["data"]["state"]) for one in states) == [(1, "active"), (2, "revoked")]


async def test_a_token_never_outlives_its_key(auth, as_bearer):
    tokens = await auth.signed_in()
    made = await auth.make_key(tokens, expires_in_days=1)

    async with auth.database.transaction() as session:
        await session.execute(
            text("UPDATE api_keys SET expires_at = :at WHERE id = :id"),
            {"at": auth.clock.now() + timedelta(seconds=90), "id": made["id"]},
        )
    assert (await auth.resolve(made["key"])).json()["expires_in"] == 90
    auth.clock.advance(91)
    assert (await auth.resolve(made["key"])).status_code == 404


@pytest.mark.parametrize("key", ["x", "fg_live_", "fg_live_" + "0" * 38, "fg_prod_" + "a" * 38, "💥"])
async def test_what_is_no_key_is_unknown(auth, key):
    answer = await auth.resolve(key)

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_api_key")


async def test_a_well_formed_key_that_was_never_made_is_unknown(auth):
    assert (await auth.resolve(apikeys.make("live"))).status_code == 404


async def test_an_api_key_may_not_make_keys_or_end_sessions(auth, as_bearer):
    made = await auth.make_key(await auth.signed_in())
    as_key = as_bearer((await auth.resolve(made["key"])).json())

    for method, path in (
        ("POST", "/auth/api-keys"),
        ("GET", "/auth/api-keys"),
        ("DELETE", f"/auth/api-keys/{made['id']}"),
        ("GET", "/auth/sessions"),
        ("POST", "/auth/logout"),
    ):
        body = {"name": "more", "mode": "live"} if path == "/auth/api-keys" and method == "POST" else None
        answer = await auth.http.request(method, path, json=body, headers=as_key)
        assert (answer.status_code, answer.json()["code"]) == (403, "session_required"), path
    me = (await auth.http.get("/auth/me", headers=as_key)).json()
    assert (me["user"]["email"], me["api_key_id"], me["project_id"]) == (None, made["id"], made["project_id"])


async def test_nobody_sees_or_revokes_keys_of_another_account(auth, as_bearer):
    mine, theirs = await auth.signed_in(), await auth.signed_in()
    made = await auth.make_key(theirs)

    assert (await auth.http.get("/auth/api-keys", headers=as_bearer(mine))).json()["items"] == []
    assert (await auth.http.delete(f"/auth/api-keys/{made['id']}", headers=as_bearer(mine))).status_code == 404
    foreign = {"name": "x", "mode": "test", "project_id": made["project_id"]}
    refused = await auth.http.post("/auth/api-keys", json=foreign, headers=as_bearer(mine))
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_project")


@pytest.mark.parametrize(("role", "makes", "sees_all"), [("admin", 201, 1), ("developer", 201, 0), ("user", 403, None)])
async def test_roles_decide_about_keys(auth, as_bearer, role, makes, sees_all):
    tokens, other = await auth.signed_in(), await auth.signed_in()
    key = await auth.make_key(tokens)
    async with auth.database.transaction() as session:
        await session.execute(
            text("UPDATE members SET role = :r, version = 2 WHERE user_id = :u"), {"r": role, "u": tokens["user_id"]}
        )
        member = Member(UUID(tokens["account_id"]), UUID(tokens["user_id"]), role, "active", 2)
        await outbox.add(session, facts.member_changed(member, now=auth.clock.now()))
        await session.execute(
            text("UPDATE api_keys SET user_id = :u WHERE id = :k"), {"u": other["user_id"], "k": key["id"]}
        )
    headers = as_bearer(tokens)
    await _role_arrived(auth, headers, role)

    listed = (await auth.http.get("/auth/api-keys", headers=headers)).json()
    revoked = await auth.http.delete(f"/auth/api-keys/{key['id']}", headers=headers)
    made = await auth.http.post("/auth/api-keys", json={"name": "x", "mode": "test"}, headers=headers)

    assert made.status_code == makes
    assert (len(listed["items"]) if "items" in listed else None) == sees_all
    assert revoked.status_code == (200 if sees_all else 404)


async def _role_arrived(auth, headers, role) -> None:
    """A changed role counts within 5 s, also for tokens that say otherwise."""
    for _ in range(50):
        if (await auth.http.get("/auth/me", headers=headers)).json()["role"] == role:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the changed role did not arrive")
