import asyncio
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import text


def _token(mail) -> str:
    return parse_qs(urlsplit(mail["link"]).query)["token"][0]


async def _confirm(auth, token):
    return await auth.http.post("/auth/pages/verify", data={"token": token})


async def test_a_link_is_used_once_and_only_by_the_button(auth, as_bearer):
    address = await auth.register()
    tokens = await auth.login(address)
    mail = await auth.mail(tokens["user_id"])
    assert (mail["address"], mail["kind"], mail["user_id"]) == (address, "verify-email", tokens["user_id"])
    assert mail["link"].startswith("http://127.0.0.1:8080/auth/pages/verify?token=")

    for _ in range(2):
        page = await auth.http.get(mail["link"].removeprefix("http://127.0.0.1:8080"))
        assert page.status_code == 200
        assert "<button>" in page.text
    me = await auth.http.get("/auth/me", headers=as_bearer(tokens))
    assert me.json()["user"]["email_verified"] is False

    answers = await asyncio.gather(*(_confirm(auth, _token(mail)) for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [200, 410, 410, 410, 410]
    me = await auth.http.get("/auth/me", headers=as_bearer(tokens))
    assert me.json()["user"]["email_verified"] is True


async def test_each_ask_makes_a_link_and_earlier_ones_last_until_they_expire(auth):
    tokens = await auth.signed_in()
    first, second = await auth.mail(tokens["user_id"]), await auth.mail(tokens["user_id"])
    assert first["link"] != second["link"]

    assert (await _confirm(auth, _token(first))).status_code == 200
    auth.clock.advance(601)
    assert (await _confirm(auth, _token(second))).status_code == 410


async def test_a_page_runs_no_scripts_and_shows_no_foreign_markup(auth):
    page = await auth.http.get("/auth/pages/verify", params={"token": '"><script>alert(1)</script>'})

    assert "<script>" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert (await auth.http.get("/auth/pages/style.css")).headers["cache-control"] == "public, max-age=3600"


async def test_a_nonsense_token_changes_nothing(auth):
    for token in ("", "x", "💥", "a" * 100_000):
        assert (await _confirm(auth, token)).status_code == 410
    raw = await auth.http.post("/auth/pages/verify", content=b"\xff\xfe=\x00")
    assert raw.status_code == 410


async def test_with_the_setting_an_account_is_activated_by_verification(running, as_bearer):
    async with running(activation="verified") as auth:
        tokens = await auth.signed_in()
        mail = await auth.mail(tokens["user_id"])
        me = (await auth.http.get("/auth/me", headers=as_bearer(tokens))).json()
        assert me["accounts"][0]["activated"] is False
        async with auth.database.reading() as session:
            assert await session.scalar(text("SELECT activated_at FROM accounts")) is None

        await _confirm(auth, _token(mail))
        await _confirm(auth, _token(await auth.mail(tokens["user_id"])))

        activated = await auth.events("auth.account-activated.v1", account_id=tokens["account_id"])
        assert len(activated) == 1


async def test_a_mail_can_be_asked_for_again_but_not_often(auth, as_bearer):
    tokens = await auth.signed_in()

    answers = [await auth.http.post("/auth/verify-email/resend", headers=as_bearer(tokens)) for _ in range(3)]

    assert [one.status_code for one in answers] == [202, 202, 429]
    assert int(answers[-1].headers["retry-after"]) > 60
    sent = await auth.events("auth.message-requested.v1", user_id=tokens["user_id"], at_least=3)
    assert len(sent) == 3


async def test_only_the_notifier_learns_addresses(auth):
    tokens = await auth.signed_in()
    asked = await auth.events("auth.message-requested.v1", user_id=tokens["user_id"])
    paths = (
        f"/internal/messages/{asked[0]['data']['message_id']}",
        f"/internal/accounts/{tokens['account_id']}/recipients?role=owner",
    )

    for path in paths:
        assert (await auth.http.get(path)).status_code == 401
        user = await auth.http.get(path, headers={"authorization": f"Bearer {tokens['access_token']}"})
        assert user.status_code == 401
        billing = await auth.http.get(path, headers=await auth.service_headers("billing"))
        assert (billing.status_code, billing.json()["code"]) == (403, "service_not_allowed")
        elsewhere = await auth.http.get(path, headers=await auth.service_headers("notifier", "ledger"))
        assert elsewhere.status_code == 401


async def test_recipients_are_the_accounts_members_of_a_role(auth):
    address = await auth.register()
    tokens = await auth.login(address)
    headers = await auth.service_headers("notifier")
    path = f"/internal/accounts/{tokens['account_id']}/recipients"

    owners = (await auth.http.get(path, params={"role": "owner"}, headers=headers)).json()
    admins = (await auth.http.get(path, params={"role": "admin"}, headers=headers)).json()

    assert owners == {"recipients": [{"user_id": tokens["user_id"], "address": address, "locale": None}]}
    assert admins == {"recipients": []}
    assert (await auth.http.get(path, params={"role": "king"}, headers=headers)).status_code == 422


async def test_no_event_log_or_metric_holds_an_address_a_password_a_token_or_a_key(
    auth, as_bearer, kafka_records, caplog, capfd
):
    address = await auth.register(password="marker of a password 9731")
    tokens = await auth.login(address, password="marker of a password 9731")
    await auth.http.post("/auth/login", json={"email": address, "password": "marker of a password 9732"})
    made = await auth.make_key(tokens)
    mail = await auth.mail(tokens["user_id"])
    await auth.resolve(made["key"])
    refreshed = (await auth.refresh(tokens["refresh_token"])).json()
    await _confirm(auth, _token(mail))
    await auth.http.post("/auth/logout", headers=as_bearer(refreshed))
    await auth.events("auth.session-revoked.v1", session_id=tokens["session_id"])

    topics = [f"auth.{one}.v1" for one in ("user-changed", "account-created", "message-requested", "api-key-changed")]
    records = [record for topic in (*topics, "auth.session-revoked.v1") for record in await kafka_records(topic)]
    # Other tests' are among them: erased users, of whom nothing is left, and what is no JSON.
    published = [value for _, value in records if value]
    metrics = (await auth.http.get("/metrics")).text
    seen = b"\n".join(published).decode(errors="replace") + metrics + caplog.text + "".join(capfd.readouterr())

    assert '"specversion":"1.0"' in seen
    secrets = (
        address,
        "marker of a password",
        tokens["access_token"],
        tokens["refresh_token"],
        refreshed["refresh_token"],
        made["key"],
        _token(mail),
    )
    assert [one for one in secrets if one in seen] == []
