import asyncio

import jwt
import pyotp
import pytest
from sqlalchemy import text

PASSWORD = "correct horse battery"


def _code(auth, secret, *, steps=0):
    return pyotp.TOTP(secret).at(auth.clock.now(), counter_offset=steps)


async def _login(auth, address, **more):
    return await auth.http.post("/auth/login", json={"email": address, "password": PASSWORD, **more})


async def _enrolled(auth, address=None):
    """Address, tokens, secret and recovery codes of a user with a second factor."""
    address = address or await auth.register()
    tokens = await auth.login(address)
    secret = (await auth.call("POST", "/auth/totp", tokens, password=PASSWORD)).json()["secret"]
    done = await auth.call("POST", "/auth/totp/confirm", tokens, code=_code(auth, secret))
    assert done.status_code == 200, done.text
    auth.clock.advance(60)
    return address, tokens, secret, done.json()["recovery_codes"]


async def test_a_second_factor_is_asked_for_once_it_is_confirmed(auth):
    address = await auth.register()
    tokens = await auth.login(address)
    begun = (await auth.call("POST", "/auth/totp", tokens, password=PASSWORD)).json()
    assert begun["uri"].startswith("otpauth://totp/Faregate:")
    assert (await _login(auth, address)).status_code == 200
    wrong = await auth.call("POST", "/auth/totp/confirm", tokens, code="000000")
    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_code")

    done = await auth.call("POST", "/auth/totp/confirm", tokens, code=_code(auth, begun["secret"]))
    assert len(set(done.json()["recovery_codes"])) == 10
    auth.clock.advance(30)
    without = await _login(auth, address)
    passed = await _login(auth, address, code=_code(auth, begun["secret"]))

    assert (without.status_code, without.json()["code"]) == (401, "second_factor_required")
    assert passed.status_code == 200
    me = (await auth.call("GET", "/auth/me", passed.json())).json()
    assert me["user"]["second_factor"] is True
    assert (await auth.mail(tokens["user_id"], kind="second-factor-changed"))["link"] is None


async def test_a_code_works_once_and_near_its_time(auth):
    address, _, secret, _ = await _enrolled(auth)
    code = _code(auth, secret)

    answers = await asyncio.gather(*(_login(auth, address, code=code) for _ in range(3)))
    late = await _login(auth, address, code=_code(auth, secret, steps=-2))

    assert sorted(one.status_code for one in answers) == [200, 401, 401]
    assert (late.status_code, late.json()["code"]) == (401, "wrong_code")
    auth.clock.advance(30)
    assert (await _login(auth, address, code=f" {_code(auth, secret)}"[1:])).status_code == 200


async def test_a_wrong_password_never_learns_of_the_second_factor(auth):
    address, _, secret, _ = await _enrolled(auth)

    answer = await auth.http.post(
        "/auth/login", json={"email": address, "password": "not the one", "code": _code(auth, secret)}
    )

    assert answer.json()["code"] == "wrong_credentials"


async def test_guessing_codes_gets_slower_whichever_network_it_comes_from(auth):
    address, _, secret, _ = await _enrolled(auth)
    answers = []
    for number in range(7):
        headers = {"x-forwarded-for": f"10.8.{number}.9"}
        body = {"email": address, "password": PASSWORD, "code": "123456"}
        answers.append(await auth.http.post("/auth/login", json=body, headers=headers))

    assert [one.status_code for one in answers] == [401] * 5 + [429, 429]
    auth.clock.advance(60)
    assert (await _login(auth, address, code=_code(auth, secret))).status_code == 200


async def test_a_recovery_code_works_once(auth):
    address, _, _, codes = await _enrolled(auth)

    first = await _login(auth, address, code=codes[0].upper().replace("-", " "))
    again = await _login(auth, address, code=codes[0])
    other = await _login(auth, address, code=codes[1])

    assert [one.status_code for one in (first, again, other)] == [200, 401, 200]
    async with auth.database.reading() as session:
        rows = str((await session.execute(text("SELECT * FROM recovery_codes"))).all())
        rows += str((await session.execute(text("SELECT * FROM totp_secrets"))).all())
    assert not any(one in rows for one in codes)


async def test_a_reset_does_not_get_past_the_second_factor(auth):
    address, tokens, _, _ = await _enrolled(auth)
    await auth.http.post("/auth/password/forgot", json={"email": address})
    token = await auth.link_token(tokens["user_id"], kind="reset-password")
    await auth.http.post("/auth/password/reset", json={"token": token, "new_password": "another horse battery"})

    answer = await auth.http.post("/auth/login", json={"email": address, "password": "another horse battery"})

    assert answer.json()["code"] == "second_factor_required"


async def test_new_recovery_codes_and_removal_need_password_and_code(auth):
    address, tokens, secret, codes = await _enrolled(auth)
    tokens = (await auth.refresh(tokens["refresh_token"])).json()

    without = await auth.call("POST", "/auth/recovery-codes", tokens, password=PASSWORD)
    assert (without.status_code, without.json()["code"]) == (403, "second_factor_required")
    wrong = await auth.call("POST", "/auth/totp/remove", tokens, password=PASSWORD, code="000000")
    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_code")
    renewed = await auth.call("POST", "/auth/recovery-codes", tokens, password=PASSWORD, code=_code(auth, secret))
    new = renewed.json()["recovery_codes"]
    assert (await _login(auth, address, code=codes[5])).status_code == 401
    removed = await auth.call("POST", "/auth/totp/remove", tokens, password=PASSWORD, code=new[0])
    assert removed.status_code == 200
    assert (await _login(auth, address)).status_code == 200
    assert {"second_factor.added", "recovery_codes.renewed", "second_factor.removed"} <= set(await auth.acted(tokens))


async def test_a_second_factor_is_not_replaced_without_removing_it(auth):
    _, tokens, secret, _ = await _enrolled(auth)

    again = await auth.call("POST", "/auth/totp", tokens, password=PASSWORD, code=_code(auth, secret))

    assert (again.status_code, again.json()["code"]) == (409, "second_factor_exists")


async def _operator(auth):
    """The secret of an operator with a second factor, and their tokens."""
    _, tokens, secret, _ = await _enrolled(auth)
    async with auth.database.transaction() as session:
        await session.execute(text("UPDATE users SET operator = true WHERE id = :id"), {"id": tokens["user_id"]})
    tokens = (await auth.refresh(tokens["refresh_token"])).json()
    return secret, tokens


async def _stepped_up(auth, secret, tokens):
    answer = await auth.call("POST", "/auth/step-up", tokens, password=PASSWORD, code=_code(auth, secret))
    assert answer.status_code == 200, answer.text
    return {**tokens, **answer.json()}


async def test_an_operator_acts_with_a_fresh_proof_only(auth):
    secret, tokens = await _operator(auth)
    user = await auth.login(address := await auth.register())
    path, body = f"/auth/operator/users/{user['user_id']}/state", {"state": "disabled", "reason": "fraud, case 7"}

    early = await auth.call("POST", path, tokens, **body)
    raised = await _stepped_up(auth, secret, tokens)
    claims = jwt.decode(raised["access_token"], options={"verify_signature": False})
    done = await auth.call("POST", path, raised, **body)
    auth.clock.advance(310)
    late = await auth.call("POST", path, raised, **body)

    assert (early.status_code, early.json()["code"]) == (403, "step_up_required")
    assert (claims["acr"], claims["exp"] - claims["iat"], raised["expires_in"]) == ("step-up", 300, 300)
    assert (done.status_code, done.json()["state"]) == (200, "disabled")
    assert (late.status_code, late.json()["code"]) == (401, "token_expired")
    assert (await _login(auth, address)).json()["code"] == "wrong_credentials"
    assert (await auth.refresh(user["refresh_token"])).status_code == 401
    states = await auth.events("auth.user-changed.v1", user_id=user["user_id"], state="disabled")
    assert len(states) == 1


async def test_what_an_operator_does_stands_in_the_log_with_its_reason(auth):
    secret, tokens = await _operator(auth)
    team = await auth.team()
    raised = await _stepped_up(auth, secret, tokens)
    body = {"state": "frozen", "reason": "chargeback"}

    frozen = await auth.call("POST", f"/auth/operator/accounts/{team['account_id']}/state", raised, **body)
    out = await auth.call("POST", f"/auth/operator/users/{team['user_id']}/sessions/end", raised, reason="asked for it")

    assert (frozen.status_code, out.status_code) == (200, 200)
    path = f"/auth/operator/audit?account_id={team['account_id']}&action=account.frozen"
    log = await auth.call("GET", path, tokens)
    entry = log.json()["items"][0]
    assert (entry["action"], entry["actor_kind"], entry["actor_id"], entry["reason"]) == (
        "account.frozen",
        "operator",
        tokens["user_id"],
        "chargeback",
    )
    assert (entry["before"], entry["after"]) == ({"state": "open"}, {"state": "frozen"})
    events = await auth.events("auth.account-changed.v1", account_id=team["account_id"], state="frozen")
    assert len(events) == 1
    of_user = await auth.call("GET", f"/auth/operator/audit?user_id={team['user_id']}&action=user.signed_out", tokens)
    assert [one["reason"] for one in of_user.json()["items"]] == ["asked for it"]


async def test_an_operator_helps_who_has_lost_the_second_factor(auth):
    secret, tokens = await _operator(auth)
    address, user, _, _ = await _enrolled(auth)
    raised = await _stepped_up(auth, secret, (await auth.refresh(tokens["refresh_token"])).json())
    path = f"/auth/operator/users/{user['user_id']}/second-factor/reset"

    done = await auth.call("POST", path, raised, reason="phone lost, identity checked")
    again = await auth.call("POST", path, raised, reason="phone lost, identity checked")

    assert (done.status_code, again.json()["code"]) == (200, "no_second_factor")
    assert (await _login(auth, address)).status_code == 200


async def test_operators_find_a_user_by_address(auth):
    _, tokens = await _operator(auth)
    user = await auth.login(address := await auth.register())

    found = (await auth.call("GET", f"/auth/operator/users?email={address}", tokens)).json()["items"]
    nobody = (await auth.call("GET", "/auth/operator/users?email=nobody@example.com", tokens)).json()["items"]
    page = (await auth.call("GET", "/auth/operator/users?limit=2", tokens)).json()

    assert [one["id"] for one in found] == [user["user_id"]]
    assert nobody == []
    assert len(page["items"]) == 2
    assert page["next_cursor"]


@pytest.mark.parametrize(("needed", "status"), [(True, 409), (False, 200)])
async def test_a_setting_says_whether_operators_need_a_second_factor(running, needed, status):
    async with running(operator_second_factor=needed) as auth:
        tokens = await auth.signed_in()
        async with auth.database.transaction() as session:
            await session.execute(text("UPDATE users SET operator = true"))

        answer = await auth.call("POST", "/auth/step-up", tokens, password=PASSWORD)

    assert answer.status_code == status
