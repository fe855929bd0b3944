"""Programs that users let in: code with PKCE, refreshing, what they may do, shutting them out again."""

import asyncio

import jwt
import pytest
from services.auth.tests.browsing import Browser
from services.auth.tests.programs import (
    CALLBACK,
    DEVICE,
    PASSWORD,
    WEB,
    answer_in,
    code_for,
    error_in,
    exchange,
    pkce,
    refreshed,
    request_of,
    tokens_for,
)


async def test_a_program_gets_tokens_for_a_code_that_its_user_allowed(auth, browser):
    verifier, challenge = pkce()

    page = await browser.open(request_of(challenge))
    allowed = await browser.send("/auth/pages/consent", decision="allow")
    answered = answer_in(allowed.headers["location"])
    answer = await exchange(auth, answered["code"], verifier)

    assert "Let Edie in?" in page.text
    assert "Call models, paid from your credits" in page.text
    assert browser.address in page.text
    assert "form-action 'self' http://127.0.0.1:51234;" in page.headers["content-security-policy"]
    assert allowed.headers["location"].startswith(CALLBACK + "?")
    assert (answered["state"], answered["iss"]) == ("s t&te", "http://127.0.0.1:8080")
    tokens = answer.json()
    assert answer.status_code == 200
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 600, "models")
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert claims["client_id"] == "editor"
    assert claims["sid"]
    me = await auth.http.get("/auth/me", headers={"authorization": f"Bearer {tokens['access_token']}"})
    assert me.json()["user"]["email"] == browser.address


async def test_the_user_may_say_no(browser):
    _, challenge = pkce()
    await browser.open(request_of(challenge))

    denied = await browser.send("/auth/pages/consent", decision="deny")

    answered = answer_in(denied.headers["location"])
    assert (answered["error"], answered["state"]) == ("access_denied", "s t&te")
    assert "code" not in answered


async def test_who_has_not_signed_in_is_led_to_that_and_back(auth):
    address, browser, (_, challenge) = await auth.register(), Browser(auth.http), pkce()

    led = await browser.open(request_of(challenge))
    await browser.open(led.headers["location"])
    signed_in = await browser.send("/auth/pages/sign-in", email=address, password=PASSWORD)

    assert led.status_code == 303
    assert signed_in.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/auth/authorize?' in signed_in.text
    page = await browser.open(request_of(challenge))
    assert "Let Edie in?" in page.text


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "x" * 42}, "invalid_request"),
        ({"scope": "account"}, "invalid_scope"),
        ({"scope": "models everything"}, "invalid_scope"),
        ({"state": "x" * 1025}, "invalid_request"),
    ],
)
async def test_what_a_program_may_not_ask_is_told_to_the_program(auth, changed, error):
    _, challenge = pkce()

    answer = await auth.http.get(request_of(challenge, **changed))

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(CALLBACK + "?")
    assert answer_in(answer.headers["location"])["error"] == error


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "nobody"},
        {"client_id": "edi\x00tor"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "http://127.0.0.1:51234/other"},
        {"redirect_uri": "http://127.0.0.1:51234/callback?x=1"},
        {"redirect_uri": "http://127.0.0.1:51234/callback#x"},
        {"redirect_uri": "http://127.0.0.1:51234/callback#"},
        {"redirect_uri": "http://127.0.0.1@evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1.evil.example/callback"},
        {"redirect_uri": "http://localhost:51234/callback"},
        {"redirect_uri": "https://127.0.0.1:51234/callback"},
        {"redirect_uri": "https://edie.example/cb/"},
        {"redirect_uri": "https://edie.example:8443/cb"},
        {"redirect_uri": "https://evil.example/cb"},
        {"redirect_uri": "http://127.0.0.1:99999999/callback"},
    ],
)
async def test_nobody_is_answered_at_an_address_that_is_not_the_programs(auth, changed):
    _, challenge = pkce()

    answer = await auth.http.get(request_of(challenge, **changed))

    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "text/html" in answer.headers["content-type"]


async def test_a_parameter_that_is_said_twice_is_refused(auth):
    _, challenge = pkce()

    answer = await auth.http.get(request_of(challenge) + "&redirect_uri=https://edie.example/cb")

    assert answer.status_code == 400


async def test_a_code_is_good_for_its_program_its_address_and_its_verifier_only(auth, browser):
    verifier, challenge = pkce()
    code = await code_for(browser, challenge)

    refused = [
        await exchange(auth, code, pkce()[0]),
        await exchange(auth, code, "short"),
        await exchange(auth, code, verifier, redirect_uri=WEB),
        await exchange(auth, code, verifier, client_id="manager"),
        await exchange(auth, "fgc_nothing", verifier),
    ]

    assert {error_in(one) for one in refused} == {(400, "invalid_grant")}
    assert (await exchange(auth, code, verifier)).status_code == 200


async def test_a_code_lasts_two_minutes(auth, browser):
    verifier, challenge = pkce()
    code = await code_for(browser, challenge)

    auth.clock.advance(121)

    assert error_in(await exchange(auth, code, verifier)) == (400, "invalid_grant")


async def test_a_code_works_once_and_its_reuse_ends_what_came_of_it(auth, browser):
    verifier, challenge = pkce()
    code = await code_for(browser, challenge)

    answers = await asyncio.gather(*(exchange(auth, code, verifier) for _ in range(5)))

    assert sorted(one.status_code for one in answers) == [200, 400, 400, 400, 400]
    tokens = next(one.json() for one in answers if one.status_code == 200)
    assert error_in(await refreshed(auth, tokens["refresh_token"])) == (400, "invalid_grant")
    user_id = jwt.decode(tokens["access_token"], options={"verify_signature": False})["sub"]
    told = await auth.events("auth.message-requested.v1", user_id=user_id, kind="token-reused")
    assert told
    me = await auth.http.get("/auth/me", headers={"authorization": f"Bearer {tokens['access_token']}"})
    assert me.status_code == 401


async def test_a_programs_refresh_token_is_of_use_to_that_program_only(auth, browser):
    tokens = await tokens_for(auth, browser)

    others = [
        await refreshed(auth, tokens["refresh_token"], client_id="manager"),
        await auth.http.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}),
    ]
    own = await refreshed(auth, tokens["refresh_token"])
    ours = await auth.signed_in()

    assert [one.status_code for one in others] == [400, 401]
    assert own.status_code == 200
    assert own.json()["scope"] == "models"
    assert error_in(await refreshed(auth, ours["refresh_token"])) == (400, "invalid_grant")
    auth.clock.advance(11)
    assert error_in(await refreshed(auth, tokens["refresh_token"])) == (400, "invalid_grant")
    assert error_in(await refreshed(auth, own.json()["refresh_token"])) == (400, "invalid_grant")


async def test_a_program_does_what_it_was_allowed_and_no_more(auth, browser):
    tokens = await tokens_for(auth, browser)
    headers = {"authorization": f"Bearer {tokens['access_token']}"}

    refused = [
        await auth.http.get("/auth/sessions", headers=headers),
        await auth.http.post("/auth/api-keys", json={"name": "x", "mode": "live"}, headers=headers),
        await auth.http.get("/auth/me/activity", headers=headers),
        await auth.http.get("/auth/consents", headers=headers),
    ]

    assert {(one.status_code, one.json()["code"]) for one in refused} == {(403, "outside_scope")}
    scope = jwt.decode(tokens["access_token"], options={"verify_signature": False})["scope"].split()
    assert "route:/v1" in scope
    assert not any("operator" in one or one in ("route:/auth", "route:/billing", "route:/ledger") for one in scope)


async def test_a_program_that_may_manage_still_needs_its_user_for_what_asks_for_the_password(auth, browser):
    asked = {"client_id": "manager", "redirect_uri": "https://manny.example/cb", "scope": "account"}
    verifier, challenge = pkce()
    code = await code_for(browser, challenge, **asked)
    answer = await exchange(auth, code, verifier, client_id="manager", redirect_uri=asked["redirect_uri"])
    tokens = answer.json()
    headers = {"authorization": f"Bearer {tokens['access_token']}"}

    made = await auth.http.post("/auth/api-keys", json={"name": "x", "mode": "live"}, headers=headers)
    proof = {"password": PASSWORD}
    refused = [
        await auth.http.post("/auth/step-up", json=proof, headers=headers),
        await auth.http.post("/auth/totp", json=proof, headers=headers),
        await auth.http.post(
            "/auth/password/change", json={**proof, "new_password": "another long one"}, headers=headers
        ),
        await auth.http.post(
            "/auth/switch",
            json={"account_id": jwt.decode(tokens["access_token"], options={"verify_signature": False})["account"]},
            headers=headers,
        ),
    ]

    assert made.status_code == 201
    assert {(one.status_code, one.json()["code"]) for one in refused} == {(403, "not_for_programs")}


async def test_a_consent_is_remembered_where_the_program_is_sure_to_be_itself(auth, browser):
    _, challenge = pkce()
    asked = {"redirect_uri": WEB}
    await code_for(browser, challenge, **asked)

    again = await browser.open(request_of(challenge, **asked))
    elsewhere = await browser.open(request_of(challenge))

    assert again.status_code == 303
    assert again.headers["location"].startswith(WEB + "?code=")
    assert elsewhere.status_code == 200
    assert "You have allowed this before" in elsewhere.text


async def test_a_consent_is_listed_and_taken_back_with_all_that_came_of_it(auth, browser):
    tokens = await tokens_for(auth, browser)
    ours = await auth.login(browser.address)

    held = (await auth.call("GET", "/auth/sessions", ours)).json()["items"]
    listed = (await auth.call("GET", "/auth/consents", ours)).json()["items"]
    taken = await auth.call("DELETE", "/auth/consents/editor", ours)
    again = await auth.call("DELETE", "/auth/consents/editor", ours)

    assert [(one["client_id"], one["client_name"], one["scope"]) for one in listed] == [("editor", "Edie", "models")]
    assert [one["client_id"] for one in held].count("editor") == 1
    assert (taken.status_code, again.status_code) == (200, 404)
    assert error_in(await refreshed(auth, tokens["refresh_token"])) == (400, "invalid_grant")
    me = await auth.http.get("/auth/me", headers={"authorization": f"Bearer {tokens['access_token']}"})
    assert (me.status_code, me.json()["code"]) == (401, "revoked")
    assert (await auth.call("GET", "/auth/me", ours)).status_code == 200
    assert {"program.allowed", "program.disallowed"} <= set(await auth.acted(ours))


async def test_the_documents_say_where_everything_is(auth):
    one = await auth.http.get("/.well-known/oauth-authorization-server")
    two = await auth.http.get("/.well-known/openid-configuration")
    described = (await auth.http.get("/auth/openapi.json")).json()["paths"]

    found = one.json()
    assert found == two.json()
    assert found["issuer"] == "http://127.0.0.1:8080"
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert DEVICE in found["grant_types_supported"]
    named = [value for name, value in found.items() if name.endswith("_endpoint") or name == "jwks_uri"]
    assert len(named) == 6
    assert {value.removeprefix(found["issuer"]) for value in named} <= set(described)
