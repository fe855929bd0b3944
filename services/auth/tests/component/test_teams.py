import asyncio
import csv
import io
import json
from uuid import uuid4

import jwt
import pytest

PASSWORD = "correct horse battery"

REQUESTED = "auth.message-requested.v1"


async def _invited(auth, team, address, role="developer"):
    """The invitation's mail, as the notifier gets it; other tests' invitations stand on the same topic."""
    before = {one["data"]["message_id"] for one in await auth.events(REQUESTED, kind="invitation", at_least=0)}
    answer = await auth.call("POST", "/auth/invitations", team, email=address, role=role)
    assert answer.status_code == 201, answer.text
    headers = await auth.service_headers("notifier")
    async with asyncio.timeout(20):
        while True:
            for event in await auth.events(REQUESTED, kind="invitation", at_least=len(before) + 1):
                message_id = event["data"]["message_id"]
                mail = await auth.http.get(f"/internal/messages/{message_id}", headers=headers)
                if message_id not in before and mail.status_code == 200:
                    return mail.json()
            await asyncio.sleep(0.05)


def _token(mail):
    return mail["link"].partition("token=")[2]


async def _role(auth, tokens):
    return (await auth.call("GET", "/auth/me", tokens)).json()["role"]


async def test_a_team_is_made_by_who_has_confirmed_the_address(auth):
    unverified = await auth.signed_in()
    refused = await auth.call("POST", "/auth/accounts", unverified, name="Poets")
    team = await auth.team("Poets")

    accounts = (await auth.call("GET", "/auth/me", team)).json()["accounts"]
    claims = jwt.decode(team["access_token"], options={"verify_signature": False})
    activated = await auth.events("auth.account-activated.v1", account_id=team["account_id"])

    assert (refused.status_code, refused.json()["code"]) == (403, "email_not_verified")
    assert {(one["kind"], one["name"], one["role"]) for one in accounts} == {
        ("personal", None, "owner"),
        ("team", "Poets", "owner"),
    }
    assert claims["account"] == team["account_id"]
    assert activated[0]["data"]["trial"] is False


async def test_a_session_that_was_switched_stays_in_the_team(auth):
    team = await auth.team()

    refreshed = (await auth.refresh(team["refresh_token"])).json()

    assert refreshed["account_id"] == team["account_id"]
    foreign = await auth.call("POST", "/auth/switch", await auth.signed_in(), account_id=team["account_id"])
    assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown_account")


async def test_an_invited_user_joins_by_the_button(auth):
    team = await auth.team("Painters")
    tokens = await auth.login(address := await auth.register())
    await auth.call(
        "POST", "/auth/verify-email", None, token=await auth.link_token(tokens["user_id"], kind="verify-email")
    )

    mail = await _invited(auth, team, address.upper())
    page = await auth.http.get(mail["link"].removeprefix("http://127.0.0.1:8080"))
    answers = await asyncio.gather(
        *(auth.http.post("/auth/pages/invitation", data={"token": _token(mail)}) for _ in range(3))
    )

    assert (mail["details"]["team"], mail["details"]["role"], mail["user_id"]) == ("Painters", "developer", None)
    assert "<button>" in page.text
    assert sorted(one.status_code for one in answers) == [200, 410, 410]
    joined = await auth.switch(tokens, team["account_id"])
    assert await _role(auth, joined) == "developer"
    assert "member.joined" in await auth.acted(joined)


async def test_an_invitation_is_for_its_address_only(auth):
    team = await auth.team()
    other, invited = await auth.verified(), await auth.login(address := await auth.register())
    mail = await _invited(auth, team, address)

    foreign = await auth.call("POST", "/auth/invitations/accept", other, token=_token(mail))
    unproved = await auth.http.post("/auth/pages/invitation", data={"token": _token(mail)})
    mine = await auth.call("POST", "/auth/invitations/accept", invited, token=_token(mail))
    again = await auth.call("POST", "/auth/invitations/accept", invited, token=_token(mail))

    assert (foreign.status_code, foreign.json()["code"]) == (403, "invitation_for_another")
    assert unproved.status_code == 409
    assert mine.json() == {"account_id": team["account_id"], "role": "developer"}
    assert again.status_code == 404
    assert (await auth.call("GET", "/auth/me", invited)).json()["user"]["email_verified"] is True


async def test_an_invitation_expires_and_can_be_taken_back(auth):
    team = await auth.team()
    invited = await auth.login(address := await auth.register())
    first = await _invited(auth, team, address)
    listed = (await auth.call("GET", "/auth/invitations", team)).json()["items"]
    assert [one["email"] for one in listed] == [address]
    assert (await auth.call("DELETE", f"/auth/invitations/{listed[0]['id']}", team)).status_code == 200
    taken_back = await auth.call("POST", "/auth/invitations/accept", invited, token=_token(first))
    second = await _invited(auth, team, address)

    auth.clock.advance(7 * 86_400 + 1)
    invited, team = (
        await auth.login(address),
        await auth.switch((await auth.refresh(team["refresh_token"])).json(), team["account_id"]),
    )
    expired = await auth.call("POST", "/auth/invitations/accept", invited, token=_token(second))

    assert (taken_back.status_code, expired.status_code) == (404, 404)
    assert (await auth.call("GET", "/auth/invitations", team)).json()["items"] == []


async def test_a_member_is_not_invited_again(auth):
    team = await auth.team()
    await auth.joined(team, "user")
    emails = [one["email"] for one in (await auth.call("GET", "/auth/members", team)).json()["items"]]

    answers = [await auth.call("POST", "/auth/invitations", team, email=one, role="user") for one in emails]

    assert len(emails) == 2
    assert [one.json()["code"] for one in answers] == ["already_member"] * 2


async def test_addresses_of_members_are_for_those_who_manage_them(auth):
    team = await auth.team()
    seen = []
    for role in ("developer", "admin"):
        answer = await auth.call("GET", "/auth/members", await auth.joined(team, role))
        seen.append({one["email"] is None for one in answer.json()["items"]})

    assert seen == [{True}, {False}]


async def test_the_last_owner_cannot_leave_step_down_or_be_taken_out(auth):
    team = await auth.team()
    admin = await auth.joined(team, "admin")
    path = f"/auth/members/{team['user_id']}"

    leaves = await auth.call("DELETE", path, team)
    steps_down = await auth.call("PATCH", path, team, role="user")
    by_admin = await auth.call("DELETE", path, admin)
    deletes = await auth.call("POST", "/auth/me/deletion", team, password=PASSWORD)

    assert [one.json()["code"] for one in (leaves, steps_down, deletes)] == ["last_owner"] * 3
    assert by_admin.json()["code"] == "role_forbids"


async def test_two_owners_who_leave_at_once_leave_one(auth):
    team = await auth.team()
    second = await auth.joined(team, "owner")

    answers = await asyncio.gather(
        *(auth.call("DELETE", f"/auth/members/{one['user_id']}", one) for one in (team, second))
    )

    assert sorted(one.status_code for one in answers) == [200, 409]


async def test_ownership_is_handed_over_with_the_password(auth):
    team = await auth.team()
    heir = await auth.joined(team, "developer")

    wrong = await auth.call("POST", "/auth/account/transfer", team, user_id=heir["user_id"], password="not it")
    done = await auth.call("POST", "/auth/account/transfer", team, user_id=heir["user_id"], password=PASSWORD)
    again = await auth.call("POST", "/auth/account/transfer", team, user_id=heir["user_id"], password=PASSWORD)

    assert (wrong.json()["code"], done.status_code, done.json()["role"]) == ("wrong_password", 200, "owner")
    assert again.json()["code"] == "role_forbids"
    roles = {one["user_id"]: one["role"] for one in (await auth.call("GET", "/auth/members", heir)).json()["items"]}
    assert roles == {heir["user_id"]: "owner", team["user_id"]: "admin"}
    states = await auth.events("auth.member-changed.v1", account_id=team["account_id"], at_least=4)
    assert sorted((one["data"]["version"], one["data"]["role"]) for one in states) == [
        (1, "developer"),
        (1, "owner"),
        (2, "admin"),
        (2, "owner"),
    ]


async def test_who_is_taken_out_loses_keys_and_tokens_at_once(auth):
    team = await auth.team()
    member = await auth.joined(team, "developer")
    made = await auth.make_key(member)
    assert (await auth.resolve(made["key"])).status_code == 200

    assert (await auth.call("DELETE", f"/auth/members/{member['user_id']}", team)).status_code == 200

    assert (await auth.resolve(made["key"])).status_code == 404
    assert (await auth.call("GET", "/auth/api-keys", member)).status_code in (401, 403)
    assert len(await auth.events("auth.api-key-changed.v1", api_key_id=made["id"], state="revoked")) == 1
    home = (await auth.refresh(member["refresh_token"])).json()
    assert home["account_id"] != team["account_id"]


async def test_a_changed_role_counts_at_once_also_for_old_tokens(auth):
    team = await auth.team()
    member = await auth.joined(team, "admin")
    assert (await auth.call("GET", "/auth/audit", member)).status_code == 200

    await auth.call("PATCH", f"/auth/members/{member['user_id']}", team, role="user")

    assert (await auth.call("GET", "/auth/audit", member)).json()["code"] == "role_forbids"


async def test_what_others_did_to_somebody_is_shown_without_from_where(auth):
    team = await auth.team()
    member = await auth.joined(team, "developer")
    await auth.call("PATCH", f"/auth/members/{member['user_id']}", team, role="admin")

    entries = (await auth.call("GET", "/auth/me/activity", member)).json()["items"]

    seen = {one["action"]: one["network"] for one in entries}
    assert seen == {"session.opened": "127.0.0.1", "member.changed": None}


async def test_budgets_of_account_member_and_project_are_published(auth):
    team = await auth.team()
    member = await auth.joined(team, "developer")
    budgets = [{"window": "day", "limit": "2.50"}, {"window": "total", "limit": "100"}]
    project = (await auth.call("POST", "/auth/projects", team, name="Ode", budgets=budgets)).json()

    answers = [
        await auth.call("PATCH", "/auth/account", team, budgets=budgets),
        await auth.call("PATCH", f"/auth/members/{member['user_id']}", team, budgets=budgets),
        await auth.call("PATCH", f"/auth/projects/{project['id']}", team, budgets=[]),
    ]

    wanted = [{"window": "day", "limit_nano": "2500000000"}, {"window": "total", "limit_nano": "100000000000"}]
    assert [one.json()["budgets"] for one in answers] == [
        [{"window": "day", "limit": "2.5"}, {"window": "total", "limit": "100"}]
    ] * 2 + [[]]
    account = await auth.events("auth.account-changed.v1", account_id=team["account_id"], at_least=2)
    of_member = await auth.events(
        "auth.member-changed.v1", user_id=member["user_id"], account_id=team["account_id"], at_least=2
    )
    of_project = await auth.events("auth.project-changed.v1", project_id=project["id"], at_least=2)
    assert account[-1]["data"]["budgets"] == of_member[-1]["data"]["budgets"] == wanted
    assert [one["data"]["budgets"] for one in of_project] == [wanted, []]


@pytest.mark.parametrize(
    "budget",
    [
        {"window": "week", "limit": "1"},
        {"window": "day", "limit": 1},
        {"window": "day", "limit": "-1"},
        {"window": "day", "limit": "1e3"},
        {"window": "day", "limit": "9000000.000000001"},
        {"window": "day", "limit": "0.0000000001"},
    ],
)
async def test_a_budget_that_is_no_amount_is_refused(auth, budget):
    tokens = await auth.signed_in()

    for budgets in ([budget], [{"window": "day", "limit": "1"}, {"window": "day", "limit": "2"}]):
        answer = await auth.call("PATCH", "/auth/account", tokens, budgets=budgets)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_an_archived_project_takes_its_keys_along_and_the_default_one_stays(auth):
    team = await auth.team()
    project = (await auth.call("POST", "/auth/projects", team, name="Ode")).json()
    made, other = await auth.make_key(team, project_id=project["id"]), await auth.make_key(team)

    archived = await auth.call("PATCH", f"/auth/projects/{project['id']}", team, state="archived")
    default = await auth.call("PATCH", f"/auth/projects/{other['project_id']}", team, state="archived")

    assert archived.json()["state"] == "archived"
    assert default.json()["code"] == "default_project"
    assert [(await auth.resolve(one["key"])).status_code for one in (made, other)] == [404, 200]
    listed = (await auth.call("GET", "/auth/projects", team)).json()["items"]
    assert {(one["name"], one["state"]) for one in listed} == {("Ode", "archived"), ("Default", "active")}


async def test_a_closed_team_is_gone_for_its_members(auth):
    team = await auth.team()
    member = await auth.joined(team, "developer")
    made = await auth.make_key(member)

    closed = await auth.call("POST", "/auth/account/close", team, password=PASSWORD)

    assert closed.status_code == 200
    assert (await auth.resolve(made["key"])).status_code == 404
    assert [one["kind"] for one in (await auth.call("GET", "/auth/me", member)).json()["accounts"]] == ["personal"]
    assert (await auth.refresh(member["refresh_token"])).json()["account_id"] != team["account_id"]
    personal = await auth.call("POST", "/auth/account/close", await auth.signed_in(), password=PASSWORD)
    assert personal.json()["code"] == "not_a_team"


async def test_the_log_is_exported_as_a_table_that_computes_nothing(auth, as_bearer):
    team, operator = await auth.team(), await auth.stepped_up_operator()
    path = f"/auth/operator/accounts/{team['account_id']}/state"
    await auth.call("POST", path, operator, state="frozen", reason='=HYPERLINK("http://evil.test", "x")')

    own = await auth.http.get("/auth/audit/export?format=csv", headers=as_bearer(team))
    everything = await auth.http.get("/auth/operator/audit/export?format=csv", headers=as_bearer(operator))

    assert own.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(own.text)))
    listed = (await auth.call("GET", "/auth/audit?limit=200", team)).json()["items"]
    assert [row["id"] for row in rows] == [one["id"] for one in listed]
    (frozen,) = [row for row in rows if row["action"] == "account.frozen"]
    assert frozen["reason"].startswith("'=HYPERLINK")
    assert json.loads(frozen["after"]) == {"state": "frozen"}
    assert {row["id"] for row in rows} <= {row["id"] for row in csv.DictReader(io.StringIO(everything.text))}
    wrong = await auth.http.get("/auth/audit/export?format=xls", headers=as_bearer(team))
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "format")


async def test_the_log_says_who_did_what_and_its_export_is_the_same(auth):
    team = await auth.team()
    member = await auth.joined(team, "developer")
    await auth.call("PATCH", f"/auth/members/{member['user_id']}", team, role="admin")
    await auth.make_key(member)
    await auth.call("POST", "/auth/invitations", team, email=f"{uuid4().hex}@example.com", role="user")

    entries = (await auth.call("GET", "/auth/audit", team)).json()["items"]
    exported = await auth.call("GET", "/auth/audit/export", team)

    assert sorted(one["action"] for one in entries) == [
        "account.created",
        "invitation.made",
        "key.made",
        "member.changed",
    ]
    changed = next(one for one in entries if one["action"] == "member.changed")
    assert (changed["actor_id"], changed["target_id"]) == (team["user_id"], member["user_id"])
    assert (changed["before"]["role"], changed["after"]["role"]) == ("developer", "admin")
    assert changed["network"] == "127.0.0.1"
    assert "example.com" not in str(entries)
    assert exported.headers["content-type"].startswith("application/x-ndjson")
    assert len(exported.text.splitlines()) == 4
