"""An operator looks at things as a user does: for a reason, for minutes, seen by the user, changing nothing."""

from uuid import uuid4

import jwt
import pytest


async def looked_at(auth, user, operator, **more):
    path = f"/auth/operator/users/{user['user_id']}/impersonate"
    return await auth.call("POST", path, operator, reason="ticket 7: keys vanish", **more)


async def test_an_operator_sees_what_the_user_sees_and_the_user_sees_that(auth):
    user, operator = await auth.signed_in(), await auth.stepped_up_operator()

    made = await looked_at(auth, user, operator, minutes=5)
    seen = (await auth.call("GET", "/auth/me", made.json())).json()
    sessions = (await auth.call("GET", "/auth/sessions", user)).json()["items"]
    mail = await auth.mail(user["user_id"], kind="impersonated")

    assert (made.status_code, made.json()["expires_in"]) == (201, 300)
    assert (seen["user"]["id"], seen["impersonated"], seen["user"]["operator"]) == (user["user_id"], True, False)
    (look,) = [one for one in sessions if one["operator"]]
    assert (look["id"], look["reason"]) == (made.json()["session_id"], "ticket 7: keys vanish")
    assert mail["details"]["reason"] == "ticket 7: keys vanish"
    claims = jwt.decode(made.json()["access_token"], options={"verify_signature": False})
    assert claims["act"] == {"sub": operator["user_id"]}


async def test_a_look_stands_in_the_logs_of_user_account_and_operators(auth):
    team, operator = await auth.team(), await auth.stepped_up_operator()

    await looked_at(auth, team, operator, account_id=team["account_id"])

    for path, reader in (
        ("/auth/me/activity", team),
        ("/auth/audit", team),
        (f"/auth/operator/audit?user_id={operator['user_id']}", operator),
    ):
        entries = (await auth.call("GET", path, reader)).json()["items"]
        (entry,) = [one for one in entries if one["action"] == "user.impersonated"]
        assert (entry["actor_id"], entry["target_id"]) == (operator["user_id"], team["user_id"])
        assert (entry["actor_kind"], entry["reason"]) == ("operator", "ticket 7: keys vanish")
    shown = (await auth.call("GET", "/auth/me/activity", team)).json()["items"]
    assert [one["network"] for one in shown if one["action"] == "user.impersonated"] == [None]


async def test_whoever_only_looks_changes_nothing_anywhere(auth, as_bearer):
    team, operator = await auth.team(), await auth.stepped_up_operator()
    look = (await looked_at(auth, team, operator, account_id=team["account_id"])).json()
    paths = (await auth.http.get("/auth/openapi.json")).json()["paths"]
    open_to_all = {401, 404, 422, 400, 429, 201, 200}
    refused = 0

    for path, methods in paths.items():
        for method in methods.keys() - {"get"}:
            asked = "/".join(str(uuid4()) if part.startswith("{") else part for part in path.split("/"))
            answer = await auth.http.request(method.upper(), asked, json={}, headers=as_bearer(look))
            if path.startswith("/auth/browser/"):
                # Cookies count there and no token does; a body is read before them.
                assert answer.json()["code"] in {"cross_site_request", "invalid_request"}
            elif answer.status_code == 403:
                assert answer.json()["code"] == "impersonation_reads_only", (method, path)
                refused += 1
            else:
                # No token is read there, or none of a user.
                bare = await auth.http.request(method.upper(), asked, json={})
                assert path.startswith("/internal") or bare.status_code == answer.status_code, (method, path)
                assert answer.status_code in open_to_all

    assert refused > 35
    assert (await auth.call("GET", "/auth/api-keys", look)).status_code == 200
    assert (await auth.call("GET", "/auth/operator/users", look)).status_code == 403


async def test_a_look_ends_with_its_minutes_by_the_user_and_with_the_operators_role(auth):
    user, operator = await auth.signed_in(), await auth.stepped_up_operator()

    short = (await looked_at(auth, user, operator, minutes=1)).json()
    ended = (await looked_at(auth, user, operator)).json()
    await auth.call("DELETE", f"/auth/sessions/{ended['session_id']}", user)
    after_end = await auth.call("GET", "/auth/me", ended)
    auth.clock.advance(70)
    after_time = await auth.call("GET", "/auth/me", short)

    assert (after_end.status_code, after_end.json()["code"]) == (401, "revoked")
    assert (after_time.status_code, after_time.json()["code"]) == (401, "token_expired")
    events = await auth.events("auth.session-revoked.v1", session_id=ended["session_id"])
    assert events[0]["data"]["user_id"] == user["user_id"]


async def test_only_stepped_up_operators_look_and_never_at_operators(auth, as_bearer):
    user, operator = await auth.signed_in(), await auth.stepped_up_operator()
    plain = (await auth.refresh(operator["refresh_token"])).json()
    other = await auth.stepped_up_operator()

    answers = [
        await looked_at(auth, operator, user),
        await looked_at(auth, user, plain),
        await looked_at(auth, other, operator),
        await looked_at(auth, {"user_id": str(uuid4())}, operator),
        await looked_at(auth, user, operator, account_id=other["account_id"]),
    ]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [
        (403, "forbidden"),
        (403, "step_up_required"),
        (403, "user_is_operator"),
        (404, "unknown_user"),
        (404, "unknown_account"),
    ]


@pytest.mark.parametrize("wrong", [{"minutes": 11}, {"minutes": 0}, {"reason": ""}])
async def test_a_look_has_a_reason_and_an_end(auth, wrong):
    user, operator = await auth.signed_in(), await auth.stepped_up_operator()

    path = f"/auth/operator/users/{user['user_id']}/impersonate"
    answer = await auth.call("POST", path, operator, **({"reason": "because"} | wrong))

    assert answer.status_code == 422
