from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from auth.service import leaving, people
from contracts.billing import SubscriptionChanged

PROOF = {"password": "correct horse battery"}


async def _change(auth, headers, address):
    return await auth.http.post("/auth/email/change", json={**PROOF, "email": address}, headers=headers)


async def _confirm(auth, token):
    return await auth.http.post("/auth/email/confirm", json={"token": token})


@pytest.mark.parametrize("first", ["confirm-email-change", "confirm-new-email"])
async def test_an_address_changes_when_both_addresses_agree(auth, as_bearer, first):
    tokens = await auth.login(address := await auth.register())
    wanted = f"New-{uuid4().hex}@example.com"
    second = {"confirm-email-change": "confirm-new-email", "confirm-new-email": "confirm-email-change"}[first]

    assert (await _change(auth, as_bearer(tokens), wanted)).status_code == 202
    old, new = [await auth.mail(tokens["user_id"], kind=kind) for kind in ("confirm-email-change", "confirm-new-email")]
    one, other = [await auth.link_token(tokens["user_id"], kind=kind) for kind in (first, second)]
    assert (old["address"], new["address"]) == (address, wanted)
    assert (await _confirm(auth, one)).json() == {"changed": False}
    assert (await _confirm(auth, one)).status_code == 404
    await auth.login(address)
    assert (await _confirm(auth, other)).json() == {"changed": True}

    await auth.login(wanted)
    gone = await auth.http.post("/auth/login", json={"email": address, **PROOF})
    assert gone.status_code == 401


async def test_a_taken_address_gets_the_same_answer_and_its_owner_is_told(auth, as_bearer):
    tokens, other = await auth.signed_in(), await auth.login(taken := await auth.register())

    free = await _change(auth, as_bearer(await auth.signed_in()), f"{uuid4().hex}@example.com")
    known = await _change(auth, as_bearer(tokens), taken)

    assert (free.status_code, free.json()) == (known.status_code, known.json()) == (202, {"status": "ok"})
    assert (await auth.mail(other["user_id"], kind="already-registered"))["address"] == taken
    only = await auth.link_token(tokens["user_id"], kind="confirm-email-change")
    assert (await _confirm(auth, only)).json() == {"changed": False}
    await auth.login(taken)


async def test_an_address_that_was_taken_meanwhile_stays_with_its_owner(auth, as_bearer):
    tokens = await auth.login(address := await auth.register())
    wanted = f"{uuid4().hex}@example.com"
    await _change(auth, as_bearer(tokens), wanted)
    links = [
        await auth.link_token(tokens["user_id"], kind=kind) for kind in ("confirm-email-change", "confirm-new-email")
    ]
    await auth.register(wanted, password="their own password")

    assert [(await _confirm(auth, one)).json() for one in links] == [{"changed": False}, {"changed": False}]
    await auth.login(wanted, password="their own password")
    await auth.login(address)


async def test_a_change_needs_the_password(auth, as_bearer):
    tokens = await auth.signed_in()
    body = {"email": f"{uuid4().hex}@example.com", "password": "not the one"}

    answer = await auth.http.post("/auth/email/change", json=body, headers=as_bearer(tokens))

    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")


async def test_the_page_agrees_to_a_change_by_its_button(auth, as_bearer):
    tokens = await auth.signed_in()
    await _change(auth, as_bearer(tokens), f"{uuid4().hex}@example.com")

    texts = []
    for kind in ("confirm-email-change", "confirm-new-email"):
        link = (await auth.mail(tokens["user_id"], kind=kind))["link"]
        page = await auth.http.get(link.removeprefix("http://127.0.0.1:8080"))
        assert "<button>" in page.text
        done = await auth.http.post("/auth/pages/email-change", data={"token": link.partition("token=")[2]})
        texts.append(done.text)

    assert "other address" in texts[0]
    assert "is changed" in texts[1]


async def test_a_deletion_is_announced_and_can_be_cancelled(auth, as_bearer):
    tokens = await auth.login(address := await auth.register())

    wrong = await auth.http.post("/auth/me/deletion", json={"password": "not it"}, headers=as_bearer(tokens))
    asked = await auth.http.post("/auth/me/deletion", json=PROOF, headers=as_bearer(tokens))
    assert (wrong.status_code, asked.status_code) == (403, 202)
    assert (await auth.refresh(tokens["refresh_token"])).status_code == 401
    mail = await auth.mail(tokens["user_id"], kind="deletion-requested")
    assert mail["details"]["deletion_due_at"][:10] == asked.json()["deletion_due_at"][:10]

    again = await auth.login(address)
    me = (await auth.http.get("/auth/me", headers=as_bearer(again))).json()
    assert me["user"]["deletion_due_at"] is not None
    auth.clock.advance(0.01)
    assert (await auth.http.delete("/auth/me/deletion", headers=as_bearer(again))).status_code == 200
    me = (await auth.http.get("/auth/me", headers=as_bearer(again))).json()
    assert me["user"]["deletion_due_at"] is None
    assert (await auth.acted(again))[0] == "user.deletion_cancelled"


async def test_after_the_grace_period_nothing_personal_is_left(running, as_bearer):
    async with running(deletion_grace_days=3) as auth:
        tokens = await auth.login(address := await auth.register())
        made = await auth.make_key(tokens)
        await _change(auth, as_bearer(tokens), f"new-{address}")
        await auth.http.post("/auth/me/deletion", json=PROOF, headers=as_bearer(tokens))

        await _erase(auth)
        await auth.login(address)
        auth.clock.advance(timedelta(days=3, seconds=1).total_seconds())
        await _erase(auth)

        gone = await auth.http.post("/auth/login", json={"email": address, **PROOF})
        assert gone.status_code == 401
        assert (await auth.resolve(made["key"])).status_code == 404
        for topic, key, value in (
            ("auth.user-changed.v1", "user_id", "deleted"),
            ("auth.account-changed.v1", "account_id", "closed"),
            ("auth.member-changed.v1", "user_id", "removed"),
        ):
            states = await auth.events(topic, **{key: tokens[key]}, state=value)
            assert len(states) == 1, topic
        assert len(await auth.events("auth.api-key-changed.v1", api_key_id=made["id"], state="revoked")) == 1
        assert address not in await _everything(auth)
        assert "127.0.0.1" not in await _everything(auth)
        await auth.login(await auth.register(address))


async def _erase(auth) -> None:
    """What the background does every few seconds."""
    more = True
    while more:
        async with auth.database.transaction() as session:
            more = await leaving.erase_next(session, clock=auth.clock)


async def _everything(auth) -> str:
    async with auth.database.reading() as session:
        tables = await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        rows = [(await session.execute(text(f'SELECT * FROM "{one}"'))).all() for one in tables]  # noqa: S608
    return str(rows)


@pytest.mark.parametrize(("cancelled", "status"), [(False, 409), (True, 202)])
async def test_who_pays_on_cancels_the_subscription_before_leaving(auth, as_bearer, cancelled, status):
    tokens = await auth.signed_in()
    now = auth.clock.now()
    event = SubscriptionChanged(
        id=uuid4(),
        time=now,
        account_id=tokens["account_id"],
        subscription_id=f"sub_{uuid4().hex}",
        version=1,
        plan_id="pro",
        plan_version=1,
        status="active",
        current_period_start=now,
        current_period_end=now + timedelta(days=30),
        cancel_at_period_end=cancelled,
    )
    async with auth.database.transaction() as session:
        await people.record_subscription(session, event)

    answer = await auth.http.post("/auth/me/deletion", json=PROOF, headers=as_bearer(tokens))

    assert answer.status_code == status
    assert answer.json().get("code") == (None if cancelled else "subscription_runs")


async def test_a_reused_refresh_token_is_told_to_its_user(auth):
    tokens = await auth.signed_in()
    await auth.refresh(tokens["refresh_token"])
    auth.clock.advance(11)
    await auth.refresh(tokens["refresh_token"])

    mail = await auth.mail(tokens["user_id"], kind="token-reused")

    assert mail["details"]["device"].startswith("python-httpx")


async def test_a_sign_in_from_elsewhere_is_told_and_a_usual_one_is_not(auth):
    address = await auth.register()
    body, usual = {"email": address, **PROOF}, {"user-agent": "Editor 1", "x-forwarded-for": "192.0.2.1"}
    for headers in (usual, usual, {**usual, "x-forwarded-for": "198.51.100.9"}):
        tokens = (await auth.http.post("/auth/login", json=body, headers=headers)).json()

    mail = await auth.mail(tokens["user_id"], kind="new-sign-in")
    told = await auth.events("auth.message-requested.v1", user_id=tokens["user_id"], kind="new-sign-in")

    assert [one["data"]["way"] for one in told] == ["password"]
    assert (mail["details"]["device"], mail["details"]["network"]) == ("Editor 1", "198.51.100.9")


async def test_the_log_is_paged_and_exported_and_cannot_be_changed(auth, as_bearer):
    tokens = await auth.signed_in()
    for _ in range(3):
        auth.clock.advance(0.01)
        body = {"password": PROOF["password"], "new_password": PROOF["password"]}
        await auth.http.post("/auth/password/change", json=body, headers=as_bearer(tokens))

    first = (await auth.http.get("/auth/me/activity?limit=2", headers=as_bearer(tokens))).json()
    rest = await auth.http.get(f"/auth/me/activity?limit=9&cursor={first['next_cursor']}", headers=as_bearer(tokens))
    actions = [one["action"] for one in first["items"] + rest.json()["items"]]
    assert actions == ["password.changed"] * 3 + ["session.opened"]

    for statement in (
        "UPDATE audit_entries SET action = 'x'",
        "UPDATE audit_entries SET network = '10.0.0.1'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
    ):
        with pytest.raises(DBAPIError, match="neither changed nor deleted"):
            async with auth.database.transaction() as session:
                await session.execute(text(statement))
