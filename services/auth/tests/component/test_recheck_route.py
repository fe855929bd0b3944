"""What the gateway asks when it cannot read the topics: which of its credentials are no longer good."""

from datetime import timedelta
from uuid import uuid4

import jwt
import pytest
from sqlalchemy import text


async def recheck(auth, *, service: str = "gateway", **body: object):
    headers = await auth.service_headers(service)
    return await auth.http.post("/internal/credentials/recheck", json=body, headers=headers)


def in_use(tokens, key) -> dict[str, object]:
    return {
        "api_keys": [key["id"]],
        "sessions": [tokens["session_id"]],
        "users": [tokens["user_id"]],
        "members": [{"account_id": tokens["account_id"], "user_id": tokens["user_id"]}],
    }


NOTHING = {"api_keys": [], "sessions": [], "users": [], "members": []}


async def test_nothing_is_said_against_credentials_that_are_good(auth):
    tokens = await auth.signed_in()
    key = await auth.make_key(tokens)

    answer = await recheck(auth, **in_use(tokens, key))

    assert (answer.status_code, answer.json()) == (200, NOTHING)
    assert (await recheck(auth)).json() == NOTHING


async def test_a_revoked_key_and_an_ended_session_are_named(auth, as_bearer):
    tokens = await auth.signed_in()
    key, other = await auth.make_key(tokens), await auth.make_key(tokens)
    await auth.http.delete(f"/auth/api-keys/{key['id']}", headers=as_bearer(tokens))
    await auth.http.post("/auth/logout", json={}, headers=as_bearer(tokens))

    asked = in_use(tokens, key)
    answer = (await recheck(auth, **(asked | {"api_keys": [key["id"], other["id"]]}))).json()

    assert answer == {**NOTHING, "api_keys": [key["id"]], "sessions": [tokens["session_id"]]}


async def test_an_expired_key_is_named(auth):
    tokens = await auth.signed_in()
    key = await auth.make_key(tokens, expires_in_days=1)
    async with auth.database.transaction() as session:
        past = auth.clock.now() - timedelta(seconds=1)
        await session.execute(
            text("UPDATE api_keys SET expires_at = :at WHERE id = :id"), {"at": past, "id": key["id"]}
        )

    assert (await recheck(auth, api_keys=[key["id"]])).json()["api_keys"] == [key["id"]]


async def test_changed_users_and_members_come_with_their_rows(auth):
    tokens = await auth.signed_in()
    async with auth.database.transaction() as session:
        ids = {"user": tokens["user_id"], "account": tokens["account_id"]}
        await session.execute(text("UPDATE users SET state = 'disabled', version = 2 WHERE id = :user"), ids)
        changed = "UPDATE members SET role = 'user', version = 2 WHERE user_id = :user AND account_id = :account"
        await session.execute(text(changed), ids)
    member = {"account_id": tokens["account_id"], "user_id": tokens["user_id"]}

    answer = (await recheck(auth, users=[tokens["user_id"]], members=[member])).json()

    assert answer["users"] == [{"user_id": tokens["user_id"], "version": 2, "state": "disabled", "operator": False}]
    assert answer["members"] == [{**member, "version": 2, "state": "active", "role": "user"}]


async def test_what_is_not_there_any_more_is_no_longer_good(auth):
    one, member = str(uuid4()), {"account_id": str(uuid4()), "user_id": str(uuid4())}

    answer = (await recheck(auth, api_keys=[one], sessions=[one], users=[one], members=[member])).json()

    assert (answer["api_keys"], answer["sessions"]) == ([one], [one])
    assert answer["users"] == [{"user_id": one, "version": 0, "state": "deleted", "operator": False}]
    assert answer["members"] == [{**member, "version": 0, "state": "removed", "role": "user"}]


async def test_a_thousand_of_each_are_answered_and_more_are_refused(auth):
    ids = [str(uuid4()) for _ in range(1001)]
    members = [{"account_id": one, "user_id": one} for one in ids]
    most = {"api_keys": ids[1:], "sessions": ids[1:], "users": ids[1:], "members": members[1:]}

    answer = await recheck(auth, **most)

    assert answer.status_code == 200
    assert {name: len(found) for name, found in answer.json().items()} == dict.fromkeys(most, 1000)
    for name, given in {"api_keys": ids, "sessions": ids, "users": ids, "members": members}.items():
        assert (await recheck(auth, **{name: given})).status_code == 422


@pytest.mark.parametrize("service", ["ledger", "billing", "notifier"])
async def test_only_the_gateway_may_ask(auth, service: str):
    assert (await recheck(auth, service=service)).status_code == 403


async def test_a_users_token_does_not_open_it(auth, as_bearer):
    tokens = await auth.signed_in()
    assert jwt.get_unverified_header(tokens["access_token"])["alg"] == "EdDSA"
    answer = await auth.http.post("/internal/credentials/recheck", json={}, headers=as_bearer(tokens))
    assert answer.status_code == 401
