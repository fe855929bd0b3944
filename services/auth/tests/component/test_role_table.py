"""Every route of the OpenAPI document, asked by everybody: nobody, an API key, and each role."""

from typing import NamedTuple
from uuid import uuid4

import pytest

PASSWORD = "correct horse battery"
ROLES = ("user", "developer", "admin", "owner")
ANYONE, SERVICES, SESSION, OPERATOR = "anyone", "services", "session", "operator"


class Rule(NamedTuple):
    """Who may: anyone, a service, whoever has a session, an operator, or members from this role upwards."""

    who: str
    body: object = None


BUDGETS = [{"window": "day", "limit": "1"}]
TABLE = {
    ("POST", "/auth/register"): Rule(ANYONE),
    ("POST", "/auth/login"): Rule(ANYONE),
    ("POST", "/register"): Rule(ANYONE),
    ("POST", "/api/auth/signup"): Rule(ANYONE),
    ("POST", "/api/auth/login"): Rule(ANYONE),
    ("POST", "/api/auth/logout"): Rule(SESSION),
    ("POST", "/auth/refresh"): Rule(ANYONE),
    ("POST", "/login"): Rule(ANYONE),
    ("POST", "/auth/browser/token"): Rule(ANYONE),
    ("POST", "/auth/browser/logout"): Rule(ANYONE),
    ("GET", "/.well-known/oauth-authorization-server"): Rule(ANYONE),
    ("GET", "/.well-known/openid-configuration"): Rule(ANYONE),
    ("GET", "/auth/authorize"): Rule(ANYONE),
    ("POST", "/auth/token"): Rule(ANYONE),
    ("POST", "/auth/device"): Rule(ANYONE),
    ("POST", "/auth/introspect"): Rule(SERVICES),
    ("POST", "/auth/revoke"): Rule(ANYONE),
    ("GET", "/auth/consents"): Rule(SESSION),
    ("DELETE", "/auth/consents/{client_id}"): Rule(SESSION),
    ("GET", "/auth/operator/clients"): Rule(OPERATOR),
    ("POST", "/auth/operator/clients"): Rule(OPERATOR, {"name": "A program", "reason": "because"}),
    ("PATCH", "/auth/operator/clients/{client_id}"): Rule(OPERATOR, {"state": "disabled", "reason": "because"}),
    ("POST", "/auth/logout"): Rule(SESSION),
    ("POST", "/auth/verify-email"): Rule(ANYONE),
    ("POST", "/auth/verify-email/resend"): Rule(SESSION),
    ("POST", "/auth/password/forgot"): Rule(ANYONE),
    ("POST", "/auth/password/reset"): Rule(ANYONE),
    ("POST", "/auth/password/change"): Rule(SESSION, {"password": "x", "new_password": "a new password"}),
    ("GET", "/auth/me"): Rule("api_key"),
    ("GET", "/auth/me/activity"): Rule(SESSION),
    ("POST", "/auth/me/deletion"): Rule(SESSION, {"password": "x"}),
    ("DELETE", "/auth/me/deletion"): Rule(SESSION),
    ("POST", "/auth/email/change"): Rule(SESSION, {"password": "x", "email": "ada@example.com"}),
    ("POST", "/auth/email/confirm"): Rule(ANYONE),
    ("GET", "/auth/sessions"): Rule(SESSION),
    ("DELETE", "/auth/sessions/{session_id}"): Rule(SESSION),
    ("POST", "/auth/accounts"): Rule(SESSION, {"name": "Poets"}),
    ("POST", "/auth/switch"): Rule(SESSION, {"account_id": str(uuid4())}),
    ("POST", "/auth/invitations/accept"): Rule(SESSION, {"token": "x"}),
    ("PATCH", "/auth/account"): Rule("admin", {"budgets": BUDGETS}),
    ("POST", "/auth/account/transfer"): Rule("owner", {"password": PASSWORD, "user_id": str(uuid4())}),
    ("POST", "/auth/account/close"): Rule("owner", {"password": PASSWORD}),
    ("GET", "/auth/members"): Rule("developer"),
    ("PATCH", "/auth/members/{user_id}"): Rule("admin", {"role": "user"}),
    ("DELETE", "/auth/members/{user_id}"): Rule("admin"),
    ("GET", "/auth/invitations"): Rule("admin"),
    ("POST", "/auth/invitations"): Rule("admin", {"email": "ada@example.com", "role": "user"}),
    ("DELETE", "/auth/invitations/{invitation_id}"): Rule("admin"),
    ("GET", "/auth/projects"): Rule("developer"),
    ("POST", "/auth/projects"): Rule("admin", {"name": "Ode"}),
    ("PATCH", "/auth/projects/{project_id}"): Rule("admin", {"name": "Ode"}),
    ("POST", "/auth/projects/{project_id}/shares"): Rule("admin", {"with_project_id": str(uuid4()), "access": "read"}),
    ("GET", "/auth/shares"): Rule("developer"),
    ("DELETE", "/auth/shares/{share_id}"): Rule("admin"),
    ("GET", "/auth/service-accounts"): Rule("admin"),
    ("POST", "/auth/service-accounts"): Rule("admin", {"name": "x", "role": "user"}),
    ("PATCH", "/auth/service-accounts/{machine_id}"): Rule("admin", {"name": "x"}),
    ("DELETE", "/auth/service-accounts/{machine_id}"): Rule("admin"),
    ("GET", "/auth/api-keys"): Rule("developer"),
    ("POST", "/auth/api-keys"): Rule("developer", {"name": "x", "mode": "test"}),
    ("PATCH", "/auth/api-keys/{key_id}"): Rule("admin", {"name": "x"}),
    ("POST", "/auth/api-keys/{key_id}/rotate"): Rule("admin", {}),
    ("DELETE", "/auth/api-keys/{key_id}"): Rule("admin"),
    ("POST", "/auth/leaks"): Rule(ANYONE),
    ("GET", "/auth/audit"): Rule("admin"),
    ("GET", "/auth/audit/export"): Rule("admin"),
    ("GET", "/auth/operator/audit"): Rule(OPERATOR),
    ("GET", "/auth/operator/audit/export"): Rule(OPERATOR),
    ("POST", "/auth/totp"): Rule(SESSION, {"password": "x"}),
    ("POST", "/auth/totp/confirm"): Rule(SESSION, {"code": "000000"}),
    ("POST", "/auth/totp/remove"): Rule(SESSION, {"password": "x"}),
    ("POST", "/auth/recovery-codes"): Rule(SESSION, {"password": "x"}),
    ("POST", "/auth/magic-links"): Rule(ANYONE),
    ("GET", "/auth/oauth/{provider}"): Rule(ANYONE),
    ("GET", "/auth/oauth/{provider}/callback"): Rule(ANYONE),
    ("POST", "/auth/identities/{provider}/begin"): Rule(SESSION, {"password": "x"}),
    ("GET", "/auth/sign-up-proof"): Rule(ANYONE),
    ("GET", "/auth/identities"): Rule(SESSION),
    ("POST", "/auth/identities/{identity_id}/remove"): Rule(SESSION, {"password": "x"}),
    ("GET", "/auth/passkeys"): Rule(SESSION),
    ("POST", "/auth/passkeys"): Rule(SESSION, {"credential": {}, "name": "x"}),
    ("PATCH", "/auth/passkeys/{passkey_id}"): Rule(SESSION, {"name": "x"}),
    ("POST", "/auth/passkeys/{passkey_id}/remove"): Rule(SESSION, {"password": "x"}),
    ("POST", "/auth/passkeys/registration"): Rule(SESSION, {"password": "x"}),
    ("POST", "/auth/passkeys/proof"): Rule(SESSION),
    ("POST", "/auth/passkeys/sign-in"): Rule(ANYONE),
    ("POST", "/auth/passkeys/sign-in/options"): Rule(ANYONE),
    ("POST", "/auth/step-up"): Rule(SESSION, {"password": "x"}),
    ("GET", "/auth/operator/users"): Rule(OPERATOR),
    ("POST", "/auth/operator/users/{user_id}/state"): Rule(OPERATOR, {"state": "disabled", "reason": "because"}),
    ("POST", "/auth/operator/users/{user_id}/sessions/end"): Rule(OPERATOR, {"reason": "because"}),
    ("POST", "/auth/operator/users/{user_id}/second-factor/reset"): Rule(OPERATOR, {"reason": "because"}),
    ("POST", "/auth/operator/users/{user_id}/impersonate"): Rule(OPERATOR, {"reason": "because"}),
    ("POST", "/auth/operator/accounts/{account_id}/state"): Rule(OPERATOR, {"state": "frozen", "reason": "because"}),
    ("GET", "/auth/jwks.json"): Rule(ANYONE),
    ("GET", "/health/live"): Rule(ANYONE),
    ("GET", "/health/ready"): Rule(ANYONE),
    ("POST", "/internal/service-tokens"): Rule(ANYONE),
    ("POST", "/internal/api-keys/resolve"): Rule(SERVICES),
    ("POST", "/internal/credentials/recheck"): Rule(SERVICES),
    ("GET", "/internal/accounts/{account_id}/recipients"): Rule(SERVICES),
    ("GET", "/internal/messages/{message_id}"): Rule(SERVICES),
}
# Who is allowed gets as far as being told that nobody has this id.
NEED_ANOTHER = ("/auth/account/transfer", "/auth/projects/{project_id}/shares", "/auth/shares/{share_id}")
LAST = ("POST", "/auth/account/close")


async def test_every_route_stands_in_the_table(auth):
    paths = (await auth.http.get("/auth/openapi.json")).json()["paths"]

    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == set(TABLE)


def _path(path: str) -> str:
    """The path with an id that nobody has."""
    return "/".join(str(uuid4()) if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.parametrize(("method", "path"), TABLE)
async def test_who_has_not_signed_in_gets_no_further_than_what_is_open(auth, method, path):
    answer = await auth.http.request(method, _path(path), json=TABLE[method, path].body)

    assert (answer.status_code == 401) == (TABLE[method, path].who != ANYONE), answer.text


async def test_an_api_key_manages_nothing(auth, as_bearer):
    made = await auth.make_key(await auth.signed_in())
    headers = as_bearer((await auth.resolve(made["key"])).json())

    for (method, path), rule in TABLE.items():
        answer = await auth.http.request(method, _path(path), json=rule.body, headers=headers)
        if rule.who in ROLES or rule.who == SESSION:
            assert (answer.status_code, answer.json()["code"]) == (403, "session_required"), (method, path)
        elif rule.who == OPERATOR:
            assert answer.status_code == 403, (method, path)
        elif rule.who == SERVICES:
            assert answer.status_code == 401, (method, path)


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_may_what_the_table_says(auth, role):
    team = await auth.team()
    member = team if role == "owner" else await auth.joined(team, role)

    for method, path in [one for one in TABLE if one != LAST] + [LAST]:
        rule = TABLE[method, path]
        if rule.who not in (*ROLES, OPERATOR):
            continue
        target = await _target(auth, team, path) if rule.who != OPERATOR else None
        asked = path.format(**target) if target is not None else _path(path)
        answer = await auth.call(method, asked, member, **(rule.body or {}))
        if rule.who == OPERATOR:
            assert answer.status_code == 403, (method, path)
        elif ROLES.index(role) >= ROLES.index(rule.who):
            assert answer.status_code in (200, 201, 404), (method, path, answer.text)
            assert answer.status_code != 404 or path in NEED_ANOTHER, (method, path)
        else:
            refused = {(403, "role_forbids"), (404, "unknown_api_key")}
            assert (answer.status_code, answer.json()["code"]) in refused, (method, path)


async def _target(auth, team, path) -> dict[str, str]:
    """Something new of the team's that the route may be tried on; for a share there is only an id that nobody has."""
    made = {
        "user_id": lambda: auth.joined(team, "developer"),
        "key_id": lambda: auth.make_key(team),
        "project_id": lambda: _posted(auth, team, "/auth/projects", name="Ode"),
        "machine_id": lambda: _posted(auth, team, "/auth/service-accounts", name="x", role="user"),
        "invitation_id": lambda: _posted(
            auth, team, "/auth/invitations", email=f"{uuid4().hex}@example.com", role="user"
        ),
    }
    name = path.partition("{")[2].partition("}")[0]
    if name not in made:
        return {name: str(uuid4())} if name else {}
    found = await made[name]()
    return {name: found["user_id" if name == "user_id" else "id"]}


async def _posted(auth, team, path, **body):
    return (await auth.call("POST", path, team, **body)).json()


async def test_developers_manage_their_own_keys(auth):
    developer = await auth.joined(await auth.team(), "developer")
    made = await auth.make_key(developer)

    answers = [
        await auth.call("PATCH", f"/auth/api-keys/{made['id']}", developer, name="x"),
        await auth.call("POST", f"/auth/api-keys/{made['id']}/rotate", developer),
        await auth.call("DELETE", f"/auth/api-keys/{made['id']}", developer),
    ]

    assert [one.status_code for one in answers] == [200, 201, 200]


async def test_an_admin_neither_makes_nor_unmakes_owners(auth):
    team = await auth.team()
    admin, member = await auth.joined(team, "admin"), await auth.joined(team, "developer")

    answers = [
        await auth.call("PATCH", f"/auth/members/{member['user_id']}", admin, role="owner"),
        await auth.call("PATCH", f"/auth/members/{team['user_id']}", admin, role="user"),
        await auth.call("PATCH", f"/auth/members/{team['user_id']}", admin, budgets=BUDGETS),
        await auth.call("DELETE", f"/auth/members/{team['user_id']}", admin),
    ]
    invited = await auth.call("POST", "/auth/invitations", admin, email="ada@example.com", role="owner")

    assert {one.json()["code"] for one in answers} == {"role_forbids"}
    assert invited.status_code == 422
