import base64
import hashlib

import jwt
import pytest

from auth.domain.audit import SYSTEM
from auth.service import api_keys
from kit import apikeys

BOUNDS = {
    "scopes": ["model:claude-sonnet-4-5", "route:/v1/messages"],
    "budgets": [{"window": "month", "limit": "10"}],
    "allowed_networks": ["192.0.2.7", "2001:db8::1/64"],
}


async def test_a_keys_bounds_reach_the_gateway_and_the_ledger(auth):
    made = await auth.make_key(await auth.signed_in(), **BOUNDS)

    resolved = (await auth.resolve(made["key"])).json()
    claims = jwt.decode(resolved["access_token"], options={"verify_signature": False})
    event = (await auth.events("auth.api-key-changed.v1", api_key_id=made["id"]))[0]["data"]

    networks = ["192.0.2.7/32", "2001:db8::/64"]
    assert (made["scopes"], made["allowed_networks"]) == (BOUNDS["scopes"], networks)
    assert (resolved["scopes"], resolved["allowed_networks"]) == (BOUNDS["scopes"], networks)
    assert claims["scope"] == " ".join(BOUNDS["scopes"])
    assert claims["projects"] == [made["project_id"]]
    assert (event["scopes"], event["allowed_networks"]) == (BOUNDS["scopes"], networks)
    assert event["budgets"] == [{"window": "month", "limit_nano": "10000000000"}]


@pytest.mark.parametrize(
    "bound",
    [
        {"scopes": ["model:"]},
        {"scopes": ["model:a b"]},
        {"scopes": ["route:v1/messages"]},
        {"scopes": ["everything"]},
        {"scopes": [f"model:{'x' * 120}{number}" for number in range(20)]},
        {"allowed_networks": ["example.com"]},
        {"allowed_networks": ["10.0.0.0/33"]},
        {"allowed_networks": ["10.0.0.1"] * 21},
        {"budgets": [{"window": "day"}]},
    ],
)
async def test_a_bound_that_says_nothing_is_refused(auth, as_bearer, bound):
    tokens = await auth.signed_in()

    answer = await auth.http.post(
        "/auth/api-keys", json={"name": "x", "mode": "live", **bound}, headers=as_bearer(tokens)
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_the_longest_scopes_still_make_a_token_that_is_accepted(auth, as_bearer):
    scopes = [f"model:{'x' * 120}{number:02}" for number in range(11)]
    made = await auth.make_key(await auth.signed_in(), scopes=scopes)

    resolved = (await auth.resolve(made["key"])).json()

    assert (await auth.http.get("/auth/me", headers=as_bearer(resolved))).status_code == 200


async def test_name_and_budgets_of_a_key_change_with_a_new_version(auth):
    tokens = await auth.signed_in()
    made = await auth.make_key(tokens, **BOUNDS)

    changed = await auth.call(
        "PATCH", f"/auth/api-keys/{made['id']}", tokens, name="renamed", budgets=[{"window": "day", "limit": "0.5"}]
    )
    fixed = await auth.call("PATCH", f"/auth/api-keys/{made['id']}", tokens, scopes=[])

    assert (changed.json()["name"], changed.json()["budgets"]) == ("renamed", [{"window": "day", "limit": "0.5"}])
    assert fixed.status_code == 422
    events = await auth.events("auth.api-key-changed.v1", api_key_id=made["id"], at_least=2)
    assert [(one["data"]["version"], one["data"]["budgets"][0]["limit_nano"]) for one in events] == [
        (1, "10000000000"),
        (2, "500000000"),
    ]


async def test_a_rotated_key_works_on_for_the_overlap_and_is_then_revoked_for_everybody(auth):
    tokens = await auth.signed_in()
    old = await auth.make_key(tokens, **BOUNDS, expires_in_days=10)
    auth.clock.advance(86_400)
    tokens = (await auth.refresh(tokens["refresh_token"])).json()

    new = (await auth.call("POST", f"/auth/api-keys/{old['id']}/rotate", tokens, overlap_s=300)).json()
    again = await auth.call("POST", f"/auth/api-keys/{old['id']}/rotate", tokens, overlap_s=300)

    assert {name: new[name] for name in BOUNDS} == {name: old[name] for name in BOUNDS}
    assert new["key"] != old["key"]
    assert new["expires_at"] > old["expires_at"]
    assert again.json()["code"] == "api_key_not_active"
    assert [(await auth.resolve(one["key"])).status_code for one in (old, new)] == [200, 200]
    assert (await auth.resolve(old["key"])).json()["expires_in"] == 300
    await _revoke_replaced(auth)
    assert (await auth.resolve(old["key"])).status_code == 200
    auth.clock.advance(300)
    await _revoke_replaced(auth)
    assert [(await auth.resolve(one["key"])).status_code for one in (old, new)] == [404, 200]
    assert len(await auth.events("auth.api-key-changed.v1", api_key_id=old["id"], state="revoked")) == 1


async def _revoke_replaced(auth) -> None:
    """What the background does every few seconds."""
    async with auth.database.transaction() as session:
        await api_keys.revoke_replaced(session, actor=SYSTEM, clock=auth.clock)


async def test_a_rotation_without_overlap_revokes_at_once(auth):
    tokens = await auth.signed_in()
    old = await auth.make_key(tokens)

    new = (await auth.call("POST", f"/auth/api-keys/{old['id']}/rotate", tokens, overlap_s=0)).json()

    assert [(await auth.resolve(one["key"])).status_code for one in (old, new)] == [404, 200]
    revoked = await auth.call("PATCH", f"/auth/api-keys/{old['id']}", tokens, name="x")
    assert revoked.json()["code"] == "api_key_not_active"


async def test_the_last_use_of_a_key_is_shown(auth):
    tokens = await auth.signed_in()
    made = await auth.make_key(tokens)
    assert made["last_used_at"] is None

    await auth.resolve(made["key"])

    listed = (await auth.call("GET", "/auth/api-keys", tokens)).json()["items"]
    assert listed[0]["last_used_at"] is not None


async def test_a_leaked_key_is_revoked_and_its_owner_told_once(auth):
    tokens = await auth.signed_in()
    made, unknown = await auth.make_key(tokens, name="editor"), apikeys.make("live")
    report = [
        {"token": made["key"], "type": "faregate_api_key", "url": "https://example.com/file", "source": "content"},
        {"token": unknown, "type": "faregate_api_key"},
        {"token": "no key at all"},
    ]

    first = await auth.http.post("/auth/leaks", json=report)
    second = await auth.http.post("/auth/leaks", json=report[:1])

    assert [one["label"] for one in first.json()] == ["true_positive", "false_positive", "false_positive"]
    assert [one["label"] for one in second.json()] == ["true_positive"]
    digest = base64.b64encode(hashlib.sha256(made["key"].encode()).digest()).decode()
    assert first.json()[0]["token_hash"] == digest
    assert made["key"] not in first.text
    assert (await auth.resolve(made["key"])).status_code == 404
    told = await auth.events("auth.message-requested.v1", user_id=tokens["user_id"], kind="key-leaked")
    mail = await auth.mail(tokens["user_id"], kind="key-leaked")
    assert len(told) == 1
    assert (mail["details"], mail["link"]) == ({"name": "editor", "last4": made["last4"]}, None)
    log = (await auth.call("GET", "/auth/audit?action=key.leaked", tokens)).json()["items"]
    assert [(one["target_id"], one["actor_kind"]) for one in log] == [(made["id"], "anybody")]
    assert made["key"] not in str(log)


@pytest.mark.parametrize("body", [[], {}, [{}], [{"token": 1}], [{"token": "x"}] * 101, "x"])
async def test_a_report_without_the_form_is_refused(auth, body):
    assert (await auth.http.post("/auth/leaks", json=body)).status_code == 422
