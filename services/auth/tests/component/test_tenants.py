"""Each id of one tenant, tried by another against every route that takes an id: nothing is told, nothing changes."""

import re
from uuid import uuid4

import pytest_asyncio

BODIES = {
    ("PATCH", "/auth/members/{user_id}"): {"role": "user"},
    ("PATCH", "/auth/projects/{project_id}"): {"name": "mine now"},
    ("PATCH", "/auth/api-keys/{key_id}"): {"name": "mine now"},
    ("POST", "/auth/api-keys/{key_id}/rotate"): {},
    ("POST", "/auth/projects/{project_id}/shares"): {"with_project_id": str(uuid4()), "access": "read"},
    ("PATCH", "/auth/service-accounts/{machine_id}"): {"name": "mine now"},
    ("POST", "/auth/operator/users/{user_id}/impersonate"): {"reason": "because"},
    ("POST", "/auth/identities/{provider}/begin"): {"password": "correct horse battery"},
    ("POST", "/auth/identities/{identity_id}/remove"): {"password": "correct horse battery"},
    ("PATCH", "/auth/passkeys/{passkey_id}"): {"name": "mine now"},
    ("POST", "/auth/passkeys/{passkey_id}/remove"): {"password": "correct horse battery"},
    ("POST", "/auth/operator/users/{user_id}/state"): {"state": "disabled", "reason": "because"},
    ("POST", "/auth/operator/users/{user_id}/sessions/end"): {"reason": "because"},
    ("POST", "/auth/operator/users/{user_id}/second-factor/reset"): {"reason": "because"},
    ("POST", "/auth/operator/accounts/{account_id}/state"): {"state": "frozen", "reason": "because"},
    ("PATCH", "/auth/operator/clients/{client_id}"): {"state": "disabled", "reason": "because"},
}


@pytest_asyncio.fixture(loop_scope="session")
async def theirs(auth):
    """A tenant with one of everything."""
    team = await auth.team("Theirs")
    member = await auth.joined(team, "developer")
    key = await auth.make_key(member)
    project = (await auth.call("POST", "/auth/projects", team, name="Secret")).json()
    email = f"{uuid4().hex}@example.com"
    invitation = (await auth.call("POST", "/auth/invitations", team, email=email, role="user")).json()
    machine = (await auth.call("POST", "/auth/service-accounts", team, name="Theirs", role="user")).json()
    ids = {
        "machine": machine["id"],
        "account": team["account_id"],
        "owner": team["user_id"],
        "member": member["user_id"],
        "session": team["session_id"],
        "key": key["id"],
        "project": project["id"],
        "invitation": invitation["id"],
    }
    return team, ids


async def _state(auth, team):
    paths = ("/auth/members", "/auth/api-keys", "/auth/projects", "/auth/invitations", "/auth/sessions", "/auth/audit")
    return [(await auth.call("GET", path, team)).json() for path in paths]


async def test_no_id_of_another_tenant_does_anything(auth, theirs):
    team, ids = theirs
    mine = await auth.team("Mine")
    before = await _state(auth, team)
    paths = (await auth.http.get("/auth/openapi.json")).json()["paths"]
    tried = 0

    for path, methods in paths.items():
        if "{" not in path or path.startswith("/internal"):
            continue
        for method in map(str.upper, methods):
            for one in ids.values():
                asked = re.sub(r"{\w+}", one, path)
                answer = await auth.call(method, asked, mine, **BODIES.get((method, path), {}))
                assert answer.status_code in (403, 404), (method, asked, answer.text)
                assert not any(value in answer.text for value in ids.values()), (method, asked)
                tried += 1

    assert tried > 40
    assert await _state(auth, team) == before


async def test_no_id_of_another_tenant_works_in_a_body(auth, theirs):
    team, ids = theirs
    mine = await auth.team("Mine")
    before = await _state(auth, team)

    for one in ids.values():
        answers = [
            await auth.call("POST", "/auth/switch", mine, account_id=one),
            await auth.call("POST", "/auth/api-keys", mine, name="x", mode="live", project_id=one),
            await auth.call("POST", "/auth/account/transfer", mine, user_id=one, password="correct horse battery"),
        ]
        assert [answer.status_code for answer in answers] == [404] * 3

    assert await _state(auth, team) == before


async def test_lists_hold_only_what_is_ones_own(auth, theirs):
    _, ids = theirs
    mine = await auth.team("Mine")

    for path in (
        "/auth/me",
        "/auth/me/activity",
        "/auth/members",
        "/auth/api-keys",
        "/auth/projects",
        "/auth/invitations",
        "/auth/sessions",
        "/auth/audit",
        "/auth/audit/export",
    ):
        answer = await auth.call("GET", path, mine)
        assert answer.status_code == 200
        assert not any(one in answer.text for one in ids.values()), path


async def test_a_cursor_of_another_tenant_shows_nothing_of_it(auth, theirs):
    team, ids = theirs
    mine = await auth.team("Mine")
    page = (await auth.call("GET", "/auth/audit?limit=1", team)).json()

    answer = await auth.call("GET", f"/auth/audit?cursor={page['next_cursor']}", mine)

    assert not any(one in answer.text for one in ids.values())
