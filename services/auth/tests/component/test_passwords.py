import asyncio
import math
import statistics
import time
from uuid import uuid4

import pytest

from auth.adapters.passwords import Passwords

NEW = "another horse battery"


async def _forgot(auth, address):
    return await auth.http.post("/auth/password/forgot", json={"email": address})


async def _reset(auth, token, password=NEW):
    return await auth.http.post("/auth/password/reset", json={"token": token, "new_password": password})


async def test_a_forgotten_password_is_reset_and_every_session_ends(auth, as_bearer):
    address = await auth.register()
    tokens = await auth.login(address)

    assert (await _forgot(auth, address.upper())).status_code == 202
    token = await auth.link_token(tokens["user_id"], kind="reset-password")
    weak = await _reset(auth, token, "password1")
    done = await _reset(auth, token)
    again = await _reset(auth, token)

    assert (weak.status_code, weak.json()["code"]) == (422, "weak_password")
    assert done.status_code == 200
    assert (again.status_code, again.json()["code"]) == (404, "link_used_or_expired")
    assert (await auth.refresh(tokens["refresh_token"])).status_code == 401
    assert (await auth.http.get("/auth/me", headers=as_bearer(tokens))).status_code == 401
    old = await auth.http.post("/auth/login", json={"email": address, "password": "correct horse battery"})
    assert old.status_code == 401
    later = await auth.login(address, password=NEW)
    assert (await auth.mail(tokens["user_id"], kind="password-changed"))["link"] is None
    me = (await auth.http.get("/auth/me", headers=as_bearer(later))).json()
    assert me["user"]["email_verified"] is True
    assert "password.reset" in await auth.acted(later)


async def test_a_used_reset_spoils_the_links_of_earlier_mails(auth):
    address = await auth.register()
    tokens = await auth.login(address)
    await _forgot(auth, address)
    first = await auth.link_token(tokens["user_id"], kind="reset-password")
    second = await auth.link_token(tokens["user_id"], kind="reset-password")

    answers = await asyncio.gather(*(_reset(auth, one) for one in (first, second, first, second)))

    assert sorted(one.status_code for one in answers) == [200, 404, 404, 404]


async def test_a_reset_link_lasts_ten_minutes(auth):
    address = await auth.register()
    tokens = await auth.login(address)
    await _forgot(auth, address)
    token = await auth.link_token(tokens["user_id"], kind="reset-password")

    auth.clock.advance(601)

    assert (await _reset(auth, token)).status_code == 404


async def test_the_verification_link_cannot_reset_a_password(auth):
    tokens = await auth.signed_in()

    answer = await _reset(auth, await auth.link_token(tokens["user_id"], kind="verify-email"))

    assert answer.status_code == 404


async def test_forgetting_answers_alike_for_known_and_unknown_addresses(auth):
    address = await auth.register()

    known, unknown = await _forgot(auth, address), await _forgot(auth, f"{uuid4().hex}@example.com")

    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json()) == (202, {"status": "ok"})


def _slower(some, others):
    """How often one of some is slower than one of the others: a half for two samples of one distribution."""
    pairs = [(one > other) + 0.5 * (one == other) for one in some for other in others]
    return sum(pairs) / len(pairs)


async def test_signing_in_takes_as_long_for_unknown_addresses(running):
    """Samples are interleaved, so that a busy machine slows both alike; four standard deviations are let pass."""
    times = {"known": [], "unknown": []}
    async with running(passwords=Passwords()) as auth:
        address = await auth.register()
        for number in range(60):
            kind = "known" if number % 2 else "unknown"
            body = {"email": address if number % 2 else f"{uuid4().hex}@example.com", "password": "not the one"}
            headers = {"x-forwarded-for": f"10.9.{number}.{uuid4().int % 250}"}
            began = time.perf_counter()
            await auth.http.post("/auth/login", json=body, headers=headers)
            times[kind].append(time.perf_counter() - began)
            auth.clock.advance(60)

    bound = 4 * math.sqrt(61 / (12 * 30 * 30))
    assert abs(_slower(times["known"], times["unknown"]) - 0.5) < bound
    assert 0.6 < statistics.median(times["known"]) / statistics.median(times["unknown"]) < 1.67


async def test_mails_to_one_address_are_few_but_the_answer_stays_the_same(auth):
    address = await auth.register()
    tokens = await auth.login(address)

    answers = [await _forgot(auth, address) for _ in range(5)]
    await auth.http.post("/auth/login", json={"email": address, "password": "not the one"})

    assert {one.status_code for one in answers} == {202}
    asked = await auth.events("auth.message-requested.v1", user_id=tokens["user_id"], kind="reset-password", at_least=3)
    assert len(asked) == 3


async def test_a_changed_password_ends_the_other_sessions_only(auth, as_bearer):
    address = await auth.register()
    here, there = await auth.login(address), await auth.login(address)
    body = {"password": "correct horse battery", "new_password": NEW}

    wrong = await auth.http.post(
        "/auth/password/change", json={**body, "password": "not the one"}, headers=as_bearer(here)
    )
    done = await auth.http.post("/auth/password/change", json=body, headers=as_bearer(here))

    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
    assert done.status_code == 200
    assert (await auth.refresh(here["refresh_token"])).status_code == 200
    assert (await auth.refresh(there["refresh_token"])).status_code == 401
    await auth.login(address, password=NEW)


async def test_proving_the_password_is_counted_like_signing_in(auth, as_bearer):
    tokens = await auth.signed_in()
    headers = {**as_bearer(tokens), "x-forwarded-for": "10.77.1.1"}
    body = {"password": "not the one", "new_password": NEW}

    answers = await asyncio.gather(
        *(auth.http.post("/auth/password/change", json=body, headers=headers) for _ in range(14))
    )

    assert sum(one.status_code == 403 for one in answers) == 10
    assert sum(one.status_code == 429 for one in answers) == 4


async def test_the_page_resets_a_password_without_scripts(auth):
    address = await auth.register()
    tokens = await auth.login(address)
    await _forgot(auth, address)
    mail = await auth.mail(tokens["user_id"], kind="reset-password")
    path = mail["link"].removeprefix("http://127.0.0.1:8080")
    token = mail["link"].partition("token=")[2]

    page = await auth.http.get(path)
    short = await auth.http.post("/auth/pages/reset", data={"token": token, "password": "short"})
    common = await auth.http.post("/auth/pages/reset", data={"token": token, "password": "password1"})
    done = await auth.http.post("/auth/pages/reset", data={"token": token, "password": NEW})
    over = await auth.http.post("/auth/pages/reset", data={"token": token, "password": NEW})

    assert 'autocomplete="new-password"' in page.text
    assert "<script" not in page.text
    assert (short.status_code, common.status_code) == (422, 422)
    assert 'aria-invalid="true"' in common.text
    assert (done.status_code, over.status_code) == (200, 410)
    await auth.login(address, password=NEW)


@pytest.mark.parametrize("password", ["x" * 257, "1234567", "password", "qwertyuiop", "111111111111"])
async def test_a_weak_password_is_refused_before_the_link_is_used(auth, password):
    address = await auth.register()
    tokens = await auth.login(address)
    await _forgot(auth, address)
    token = await auth.link_token(tokens["user_id"], kind="reset-password")

    assert (await _reset(auth, token, password)).status_code == 422
    assert (await _reset(auth, token)).status_code == 200


async def test_a_password_is_compared_whole(auth):
    password = "ä long passphrase " + "x" * 150
    address = await auth.register(password=password)

    for wrong in (password[:-1], password.strip("x"), password.swapcase()):
        answer = await auth.http.post("/auth/login", json={"email": address, "password": wrong})
        assert answer.status_code == 401
    await auth.login(address, password=password.replace("ä", "a\u0308"))
