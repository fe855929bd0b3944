"""A project shared with another account's project: listed on both sides, ended from either; nothing else crosses."""

from uuid import UUID, uuid4

import jwt
import pytest

from auth.service import rechecking
from auth.service.rechecking import InUse


async def default_project(auth, team):
    items = (await auth.call("GET", "/auth/projects", team)).json()["items"]
    return next(one["id"] for one in items if one["default"])


async def shared(auth, access="use"):
    """A giver, a receiver, and the share."""
    giver, receiver = await auth.team("Giver"), await auth.team("Receiver")
    project = (await auth.call("POST", "/auth/projects", giver, name="Ode")).json()["id"]
    body = {"with_project_id": await default_project(auth, receiver), "access": access}
    answer = await auth.call("POST", f"/auth/projects/{project}/shares", giver, **body)
    assert answer.status_code == 201, answer.text
    return giver, receiver, answer.json()


async def test_a_share_is_listed_on_both_sides_and_published(auth):
    giver, receiver, share = await shared(auth)

    lists = [(await auth.call("GET", "/auth/shares", side)).json()["items"] for side in (giver, receiver)]
    (event,) = await auth.events("auth.project-share-changed.v1", share_id=share["id"])

    assert [[one["direction"] for one in items] for items in lists] == [["given"], ["received"]]
    assert [items[0]["project_name"] for items in lists] == ["Ode", "Ode"]
    assert event["data"] == {
        "share_id": share["id"],
        "account_id": giver["account_id"],
        "project_id": share["project_id"],
        "with_account_id": receiver["account_id"],
        "with_project_id": share["with_project_id"],
        "version": 1,
        "access": "use",
        "state": "active",
    }


async def test_a_key_for_a_share_calls_in_the_shared_project_and_sees_its_own_calls_only(auth):
    giver, receiver, share = await shared(auth)

    key = await auth.make_key(receiver, share_id=share["id"], budgets=[{"window": "day", "limit": "1"}])
    resolved = (await auth.resolve(key["key"])).json()
    claims = jwt.decode(resolved["access_token"], options={"verify_signature": False})
    (event,) = await auth.events("auth.api-key-changed.v1", api_key_id=key["id"])

    assert (key["account_id"], key["share_id"]) == (receiver["account_id"], share["id"])
    assert (resolved["account_id"], resolved["project_id"]) == (giver["account_id"], share["project_id"])
    assert (claims["account"], claims["project"], claims["projects"], claims["role"], claims["sub"]) == (
        giver["account_id"],
        share["project_id"],
        [share["project_id"]],
        "user",
        receiver["user_id"],
    )
    assert (event["data"]["account_id"], event["data"]["project_id"]) == (giver["account_id"], share["project_id"])
    assert [one["id"] for one in (await auth.call("GET", "/auth/api-keys", receiver)).json()["items"]] == [key["id"]]
    assert (await auth.call("GET", "/auth/api-keys", giver)).json()["items"] == []


@pytest.mark.parametrize("side", ["giver", "receiver"])
async def test_a_share_ends_from_either_side_with_the_keys_made_for_it(auth, side):
    giver, receiver, share = await shared(auth)
    key = await auth.make_key(receiver, share_id=share["id"])
    own = await auth.make_key(receiver)

    ended = await auth.call("DELETE", f"/auth/shares/{share['id']}", giver if side == "giver" else receiver)

    assert ended.status_code == 200
    assert [(await auth.resolve(one["key"])).status_code for one in (key, own)] == [404, 200]
    events = await auth.events("auth.api-key-changed.v1", at_least=2, api_key_id=key["id"])
    assert events[-1]["data"]["state"] == "revoked"
    told = await auth.events("auth.project-share-changed.v1", at_least=2, share_id=share["id"])
    assert [one["data"]["state"] for one in told] == ["active", "revoked"]
    for one in (giver, receiver):
        assert (await auth.call("GET", "/auth/shares", one)).json()["items"] == []
        entries = (await auth.call("GET", "/auth/audit?action=share.revoked", one)).json()["items"]
        assert [entry["target_id"] for entry in entries] == [share["id"]]
        assert (entries[0]["network"] is None) == (one is not (giver if side == "giver" else receiver))


async def test_a_share_to_read_is_not_one_to_use(auth):
    _, receiver, share = await shared(auth, access="read")

    answer = await auth.call("POST", "/auth/api-keys", receiver, name="x", mode="test", share_id=share["id"])

    assert (answer.status_code, answer.json()["code"]) == (403, "share_reads_only")


async def test_archiving_or_closing_either_side_ends_the_key(auth):
    for path, by in (("given project", 0), ("given account", 0), ("holder's account", 1)):
        giver, receiver, share = sides = await shared(auth)
        key = await auth.make_key(receiver, share_id=share["id"])
        assert (await auth.resolve(key["key"])).status_code == 200
        if path == "given project":
            done = await auth.call("PATCH", f"/auth/projects/{share['project_id']}", giver, state="archived")
        else:
            done = await auth.call("POST", "/auth/account/close", sides[by], password="correct horse battery")

        assert done.status_code == 200, done.text
        assert (await auth.resolve(key["key"])).status_code == 404, path


async def test_what_a_share_does_not_say_does_not_cross(auth):
    giver, receiver, share = await shared(auth)
    third = await auth.team("Third")
    developer = await auth.joined(giver, "developer")

    answers = [
        # Whom the share is not with.
        await auth.call("POST", "/auth/api-keys", third, name="x", mode="test", share_id=share["id"]),
        await auth.call("DELETE", f"/auth/shares/{share['id']}", third),
        # Who gives it holds no key of it, and who gets it nothing else of the giver's.
        await auth.call("POST", "/auth/api-keys", giver, name="x", mode="test", share_id=share["id"]),
        await auth.call("POST", "/auth/api-keys", receiver, name="x", mode="test", project_id=share["project_id"]),
        await auth.call("PATCH", f"/auth/projects/{share['project_id']}", receiver, name="mine"),
        await auth.call("DELETE", f"/auth/shares/{share['id']}", developer),
    ]

    assert [one.json()["code"] for one in answers] == [
        "unknown_share",
        "unknown_share",
        "unknown_share",
        "unknown_project",
        "unknown_project",
        "role_forbids",
    ]


async def test_a_share_is_with_one_other_accounts_project_once(auth):
    giver, _, share = await shared(auth)
    path = f"/auth/projects/{share['project_id']}/shares"
    own = await default_project(auth, giver)

    answers = [
        await auth.call("POST", path, giver, with_project_id=share["with_project_id"], access="read"),
        await auth.call("POST", path, giver, with_project_id=own, access="read"),
        await auth.call("POST", path, giver, with_project_id=str(uuid4()), access="read"),
    ]

    assert [one.json()["code"] for one in answers] == ["already_shared", "same_account", "unknown_project"]


async def test_a_holder_who_is_removed_or_frozen_loses_the_key(auth):
    _, receiver, share = await shared(auth)
    developer, operator = await auth.joined(receiver, "developer"), await auth.stepped_up_operator()
    theirs = await auth.make_key(developer, share_id=share["id"])
    key = await auth.make_key(receiver, share_id=share["id"])

    await auth.call("DELETE", f"/auth/members/{developer['user_id']}", receiver)
    path = f"/auth/operator/accounts/{receiver['account_id']}/state"
    await auth.call("POST", path, operator, state="frozen", reason="fraud")

    assert [(await auth.resolve(one["key"])).status_code for one in (theirs, key)] == [404, 404]


async def test_a_guest_is_not_mistaken_for_a_removed_member(auth):
    giver, receiver, share = await shared(auth)
    key = await auth.make_key(receiver, share_id=share["id"])
    pair = (UUID(giver["account_id"]), UUID(receiver["user_id"]))
    asked = InUse(api_keys=[], sessions=[], users=[], members=[pair])

    async with auth.database.reading() as session:
        during = await rechecking.recheck(session, asked, now=auth.clock.now())
    await auth.call("DELETE", f"/auth/api-keys/{key['id']}", receiver)
    async with auth.database.reading() as session:
        after = await rechecking.recheck(session, asked, now=auth.clock.now())

    assert (during.members, len(after.members)) == ([], 1)
