"""Machines: owned by an account, with keys and a role, and nobody signs in as one."""

from uuid import uuid4

import jwt


async def made(auth, team, **wanted):
    body = {"name": "nightly job", "role": "developer", **wanted}
    answer = await auth.call("POST", "/auth/service-accounts", team, **body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_machine_has_keys_of_its_own_and_its_role(auth):
    team = await auth.team()
    machine = await made(auth, team, role="user", budgets=[{"window": "day", "limit": "3"}])

    key = await auth.make_key(team, service_account_id=machine["id"])
    resolved = (await auth.resolve(key["key"])).json()
    rotated = (await auth.call("POST", f"/auth/api-keys/{key['id']}/rotate", team)).json()

    assert (key["user_id"], rotated["user_id"]) == (machine["id"], machine["id"])
    assert (resolved["user_id"], resolved["account_id"], resolved["role"]) == (
        machine["id"],
        team["account_id"],
        "user",
    )
    told = (await auth.events("auth.member-changed.v1", user_id=machine["id"]))[-1]["data"]
    assert (told["role"], told["budgets"]) == ("user", [{"window": "day", "limit_nano": "3000000000"}])


async def test_a_machine_is_no_person(auth):
    team = await auth.team()
    machine = await made(auth, team, role="admin")

    members = (await auth.call("GET", "/auth/members", team)).json()["items"]
    handed = await auth.call(
        "POST", "/auth/account/transfer", team, user_id=machine["id"], password="correct horse battery"
    )
    removed = await auth.call("DELETE", f"/auth/members/{machine['id']}", team)
    headers = await auth.service_headers("notifier")
    path = f"/internal/accounts/{team['account_id']}/recipients?role=admin"
    recipients = (await auth.http.get(path, headers=headers)).json()["recipients"]
    address = f"{machine['id'].replace('-', '')}@service.invalid"
    login = await auth.http.post("/auth/login", json={"email": address, "password": "correct horse battery"})
    forgot = await auth.http.post("/auth/password/forgot", json={"email": address})

    assert machine["id"] not in {one["user_id"] for one in members}
    assert [handed.json()["code"], removed.json()["code"]] == ["unknown_member"] * 2
    assert recipients == []
    assert (login.status_code, forgot.status_code) == (422, 422)


async def test_a_team_with_a_machine_only_closes_with_its_last_person(auth):
    team = await auth.team()
    await made(auth, team)

    answer = await auth.call("POST", "/auth/me/deletion", team, password="correct horse battery")

    assert answer.status_code == 202, answer.text


async def test_a_disabled_machine_is_refused_until_it_is_active_again(auth):
    team = await auth.team()
    machine = await made(auth, team)
    key = await auth.make_key(team, service_account_id=machine["id"])
    path = f"/auth/service-accounts/{machine['id']}"

    off = await auth.call("PATCH", path, team, state="disabled")
    refused = await auth.resolve(key["key"])
    on = await auth.call("PATCH", path, team, state="active", name="hourly job", role="user")
    resolved = await auth.resolve(key["key"])

    assert (off.json()["state"], refused.status_code) == ("disabled", 404)
    assert (on.json()["name"], on.json()["role"], resolved.json()["role"]) == ("hourly job", "user", "user")
    states = [
        one["data"]["state"] for one in await auth.events("auth.user-changed.v1", at_least=3, user_id=machine["id"])
    ]
    assert states == ["active", "disabled", "active"]


async def test_a_deleted_machine_is_gone_with_its_keys(auth):
    team = await auth.team()
    machine = await made(auth, team)
    key = await auth.make_key(team, service_account_id=machine["id"])

    gone = await auth.call("DELETE", f"/auth/service-accounts/{machine['id']}", team)
    again = await auth.call("DELETE", f"/auth/service-accounts/{machine['id']}", team)

    assert (gone.status_code, again.json()["code"]) == (200, "unknown_service_account")
    assert (await auth.call("GET", "/auth/service-accounts", team)).json()["items"] == []
    assert (await auth.resolve(key["key"])).status_code == 404
    assert (await auth.events("auth.api-key-changed.v1", at_least=2, api_key_id=key["id"]))[-1]["data"][
        "state"
    ] == "revoked"
    entries = (await auth.call("GET", "/auth/audit", team)).json()["items"]
    actions = {one["action"] for one in entries if one["action"].startswith("service_account.")}
    assert actions == {"service_account.deleted", "service_account.made"}


async def test_only_admins_make_machines_and_keys_for_them(auth):
    team = await auth.team()
    developer, machine = await auth.joined(team, "developer"), await made(auth, team)
    other = await auth.team()

    answers = [
        await auth.call("POST", "/auth/service-accounts", developer, name="x", role="user"),
        await auth.call("POST", "/auth/api-keys", developer, name="x", mode="test", service_account_id=machine["id"]),
        await auth.call("POST", "/auth/api-keys", other, name="x", mode="test", service_account_id=machine["id"]),
        await auth.call("POST", "/auth/api-keys", team, name="x", mode="test", service_account_id=str(uuid4())),
        await auth.call("POST", "/auth/service-accounts", team, name="x", role="owner"),
    ]

    assert [one.json()["code"] for one in answers] == [
        "role_forbids",
        "role_forbids",
        "unknown_service_account",
        "unknown_service_account",
        "invalid_request",
    ]


async def test_a_machines_key_cannot_manage_anything(auth, as_bearer):
    team = await auth.team()
    key = await auth.make_key(team, service_account_id=(await made(auth, team, role="admin"))["id"])
    resolved = (await auth.resolve(key["key"])).json()

    answer = await auth.http.get("/auth/members", headers=as_bearer(resolved))

    assert answer.json()["code"] == "session_required"
    assert "sid" not in jwt.decode(resolved["access_token"], options={"verify_signature": False})
