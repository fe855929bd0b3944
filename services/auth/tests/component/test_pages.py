"""Pages for people: signing in and up without a script, cookies, forms that no other site can send."""

import re
from itertools import count

import pyotp
import pytest
from pydantic import SecretStr
from services.auth.tests.browsing import Browser

from auth.domain.sign_up_proof import is_solved

PASSWORD = "correct horse battery"
HOME = "/auth/pages/sessions"


async def _signed_in(auth) -> Browser:
    browser = Browser(auth.http)
    browser.address = await auth.register()
    answer = await browser.sign_in(browser.address, PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, HOME)
    return browser


async def test_signing_in_gives_cookies_that_no_script_and_no_other_host_can_have(auth):
    browser = Browser(auth.http)
    address = await auth.register()

    answer = await browser.sign_in(address, PASSWORD)

    lines = {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}
    assert set(lines) == {f"__Host-fg_{one}" for one in ("access", "refresh", "csrf", "browser")}
    for name, line in lines.items():
        assert "Secure" in line
        assert "Path=/" in line
        assert "SameSite=lax" in line
        assert "Domain" not in line
        assert ("HttpOnly" in line) == (name != "__Host-fg_csrf")
    assert browser.cookies["__Host-fg_refresh"].startswith("fgr_")


async def test_a_cookie_is_no_credential_outside_the_pages(auth):
    browser = await _signed_in(auth)

    answer = await browser.open("/auth/me")

    assert answer.status_code == 401


async def test_a_wrong_password_is_told_on_the_page_and_the_password_is_not_repeated(auth):
    browser, address = Browser(auth.http), await auth.register()

    answer = await browser.sign_in(address, "not the password")

    assert answer.status_code == 401
    assert "Address or password is wrong." in answer.text
    assert f'value="{address}"' in answer.text
    assert "not the password" not in answer.text
    assert "__Host-fg_access" not in browser.cookies


async def test_the_second_factor_is_asked_for_in_a_second_step_of_the_same_browser(auth):
    address = await auth.register()
    tokens = await auth.login(address)
    secret = (await auth.call("POST", "/auth/totp", tokens, password=PASSWORD)).json()["secret"]
    totp = pyotp.TOTP(secret)
    await auth.call("POST", "/auth/totp/confirm", tokens, code=totp.at(auth.clock.now()))
    auth.clock.advance(60)
    browser, stranger = Browser(auth.http), Browser(auth.http)

    step = await browser.sign_in(address, PASSWORD)
    pending = re.search(r'name="pending" value="([^"]+)"', step.text)[1]
    wrong = await browser.send("/auth/pages/sign-in/code", code="000000")
    await stranger.open("/auth/pages/sign-in")
    stolen = await stranger.send("/auth/pages/sign-in/code", code=totp.at(auth.clock.now()), pending=pending)
    browser.page = wrong
    passed = await browser.send("/auth/pages/sign-in/code", code=totp.at(auth.clock.now()))

    assert "second factor" in step.text
    assert "__Host-fg_access" not in stranger.cookies
    assert (wrong.status_code, stolen.status_code, passed.status_code) == (401, 410, 303)
    assert 'aria-describedby="code-hint code-wrong"' in wrong.text
    assert (await browser.open(HOME)).status_code == 200


async def test_the_second_step_waits_ten_minutes(auth):
    address = await auth.register()
    tokens = await auth.login(address)
    secret = (await auth.call("POST", "/auth/totp", tokens, password=PASSWORD)).json()["secret"]
    totp = pyotp.TOTP(secret)
    await auth.call("POST", "/auth/totp/confirm", tokens, code=totp.at(auth.clock.now()))
    browser = Browser(auth.http)
    await browser.sign_in(address, PASSWORD)

    auth.clock.advance(601)
    late = await browser.send("/auth/pages/sign-in/code", code=totp.at(auth.clock.now()))

    assert late.status_code == 410


@pytest.mark.parametrize("path", ["sign-in", "sign-up", "forgot"])
async def test_a_form_that_another_site_sends_is_refused(auth, path):
    browser, address = Browser(auth.http), await auth.register()
    await browser.open(f"/auth/pages/{path}")
    page = browser.page

    answers = []
    for site in ("cross-site", "same-site", "none"):
        browser.page = page
        answers.append(await browser.send(f"/auth/pages/{path}", site=site, email=address, password=PASSWORD))
    browser.page = page
    answers.append(await browser.send(f"/auth/pages/{path}", csrf="x", email=address, password=PASSWORD))

    assert [one.status_code for one in answers] == [403] * 4
    assert "__Host-fg_access" not in browser.cookies


async def test_an_older_browser_proves_where_a_form_is_from_by_its_origin(auth):
    browser = await _signed_in(auth)
    page = await browser.open(HOME)
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    answers = {}
    for origin in (None, "null", "https://evil.example", "http://127.0.0.1:8080"):
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
        headers |= {"origin": origin} if origin else {}
        answers[origin] = await auth.http.post("/auth/pages/sign-out", data={"csrf": csrf}, headers=headers)

    assert [one.status_code for one in answers.values()] == [403, 403, 403, 200]


async def test_a_form_of_another_session_of_the_same_browser_is_refused(auth):
    browser = await _signed_in(auth)
    page = await browser.open(HOME)
    old = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    await browser.send("/auth/pages/sign-out")
    await browser.sign_in(browser.address, PASSWORD)
    await browser.open(HOME)

    answer = await browser.send("/auth/pages/keys", csrf=old, name="mine")

    assert answer.status_code == 403


async def test_pages_without_a_session_lead_to_the_sign_in_and_back(auth):
    for path in ("sessions", "programs", "keys", "password", "second-factor", "device?user_code=BCDF-GHJK"):
        answer = await Browser(auth.http).open(f"/auth/pages/{path}")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/auth/pages/sign-in?next=%2Fauth%2Fpages%2F")


@pytest.mark.parametrize(
    "onward",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "x", ""],
)
async def test_nobody_is_led_to_another_site_after_signing_in(auth, onward):
    browser, address = Browser(auth.http), await auth.register()
    await browser.open("/auth/pages/sign-in")

    answer = await browser.send("/auth/pages/sign-in", email=address, password=PASSWORD, next=onward)

    assert (answer.status_code, answer.headers["location"]) == (303, HOME)


async def test_a_page_refreshes_what_the_browser_holds(auth):
    browser = await _signed_in(auth)
    before = dict(browser.cookies)

    auth.clock.advance(700)
    page = await browser.open(HOME)

    assert page.status_code == 200
    assert browser.cookies["__Host-fg_refresh"] != before["__Host-fg_refresh"]
    assert browser.cookies["__Host-fg_access"] != before["__Host-fg_access"]


async def test_signing_out_ends_the_session_and_takes_the_cookies(auth):
    browser = await _signed_in(auth)
    stolen = dict(browser.cookies)
    await browser.open(HOME)

    done = await browser.send("/auth/pages/sign-out")

    assert "You are signed out" in done.text
    assert "__Host-fg_access" not in browser.cookies
    again = Browser(auth.http, cookies=stolen)
    assert (await again.open(HOME)).status_code == 303


async def test_somebody_signs_up_and_is_told_what_was_wrong_by_the_field(auth):
    browser = Browser(auth.http)
    await browser.open("/auth/pages/sign-up")
    address = "zoe-signs-up@example.com"
    weak = await browser.send("/auth/pages/sign-up", email=address, password="password1")
    short = await browser.send("/auth/pages/sign-up", email=address, password="short")
    wrong = await browser.send("/auth/pages/sign-up", email="no address", password=PASSWORD)
    browser.page = wrong
    done = await browser.send("/auth/pages/sign-up", email=address, password=PASSWORD)

    assert [one.status_code for one in (weak, short, wrong, done)] == [422, 422, 422, 200]
    for page, name in ((weak, "password"), (short, "password"), (wrong, "email")):
        assert f'id="{name}-wrong"' in page.text
        assert re.search(f'id="{name}"[^>]* aria-invalid="true"[^>]* aria-describedby="[^"]*{name}-wrong"', page.text)
    assert "password1" not in weak.text
    assert "Look into your mailbox" in done.text
    assert (await browser.sign_in(address, PASSWORD)).status_code == 303


async def test_a_forgotten_password_answers_alike_for_everybody(auth):
    address = await auth.register()
    answers = []
    for one in (address, "nobody-at-all@example.com"):
        browser = Browser(auth.http)
        await browser.open("/auth/pages/forgot")
        answers.append(await browser.send("/auth/pages/forgot", email=one))

    assert [one.status_code for one in answers] == [200, 200]
    known, unknown = (re.sub(r'value="[^"]*"', "", one.text) for one in answers)
    assert known == unknown


async def test_sessions_are_seen_and_ended_on_a_page(auth):
    browser = await _signed_in(auth)
    other = await auth.login(browser.address)
    page = await browser.open(HOME)
    assert page.text.count('/auth/pages/sessions/end"') == 2
    assert page.text.count("(this browser)") == 1

    ended = await browser.send("/auth/pages/sessions/end", session_id=other["session_id"])
    mine = await browser.open(HOME)
    stranger = await auth.signed_in()
    refused = await browser.send("/auth/pages/sessions/end", session_id=stranger["session_id"])
    browser.page = mine
    everywhere = await browser.send("/auth/pages/sessions/end-all")

    assert (ended.status_code, refused.status_code, everywhere.status_code) == (303, 404, 303)
    assert mine.text.count('/auth/pages/sessions/end"') == 1
    assert (await auth.call("GET", "/auth/me", other)).status_code == 401
    assert (await browser.open(HOME)).status_code == 303


async def test_a_key_is_made_on_a_page_shown_once_and_revoked(auth):
    browser = await _signed_in(auth)
    await browser.open("/auth/pages/keys")

    made = await browser.send("/auth/pages/keys", name="my laptop", expires_in_days="30")
    key = re.search(r'id="new-key">(fg_live_\w+)<', made.text)[1]
    again = await browser.open("/auth/pages/keys")
    good = await auth.resolve(key)
    key_id = re.search(r'name="key_id" value="([^"]+)"', again.text)[1]
    revoked = await browser.send("/auth/pages/keys/revoke", key_id=key_id)
    after = await browser.open("/auth/pages/keys")
    nameless = await browser.send("/auth/pages/keys", name=" ")

    assert made.status_code == 201
    assert key not in again.text
    assert "my laptop" in again.text
    assert (good.status_code, revoked.status_code) == (200, 303)
    assert "Revoked" in after.text
    assert (await auth.resolve(key)).status_code == 404
    assert nameless.status_code == 422
    assert 'id="name-wrong"' in nameless.text


async def test_no_page_holds_a_script_or_a_style_of_its_own(auth):
    browser = await _signed_in(auth)
    own = ("sessions", "programs", "keys", "device", "password", "second-factor")
    pages = [await browser.open(f"/auth/pages/{one}") for one in own]
    stranger = Browser(auth.http)
    pages += [
        await stranger.open(f"/auth/pages/{one}?token=x")
        for one in ("sign-in", "sign-up", "forgot", "verify", "reset", "email-change", "invitation")
    ]

    for page in pages:
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page.text)
        assert '<html lang="en">' in page.text
        assert page.text.count("<h1>") == 1
        labelled = set(re.findall(r'<label for="([^"]+)"', page.text))
        shown = re.findall(r'<(?:input|select) id="([^"]+)"', page.text)
        assert set(shown) == labelled
    assert {page.headers["referrer-policy"] for page in pages} == {"same-origin", "no-referrer"}


async def test_a_password_is_masked_and_may_come_from_a_password_manager(auth):
    browser = await _signed_in(auth)
    pages = [await browser.open(f"/auth/pages/{one}") for one in ("password", "second-factor", "passkeys")]
    pages += [await Browser(auth.http).open(f"/auth/pages/{one}?token=x") for one in ("sign-in", "sign-up", "reset")]

    for page in pages:
        fields = re.findall(r'<input [^>]*name="(?:new_)?password"[^>]*>', page.text)
        assert fields
        for one in fields:
            assert 'type="password"' in one
            assert re.search(r'autocomplete="(current|new)-password"', one)


async def test_a_browser_of_a_product_gets_access_tokens_and_never_sees_the_refresh_token(auth):
    browser = await _signed_in(auth)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    csrf = browser.cookies["__Host-fg_csrf"]

    async def ask(path="token", **headers):
        sent = {"cookie": cookie, "x-csrf-token": csrf, "sec-fetch-site": "same-origin", **headers}
        return await auth.http.post(f"/auth/browser/{path}", headers=sent)

    foreign = [await ask(**{"sec-fetch-site": "cross-site"}), await ask(**{"x-csrf-token": "x"})]
    nobody = await ask(cookie="")
    good = await ask()
    me = await auth.call("GET", "/auth/me", good.json())
    out = await ask("logout", cookie="; ".join(f"{name}={value}" for name, value in browser.cookies.items()))

    assert [one.status_code for one in foreign] == [403, 403]
    assert nobody.status_code == 401
    assert good.status_code == 200
    assert "refresh_token" not in good.json()
    assert any(line.startswith("__Host-fg_refresh=fgr_") for line in good.headers.get_list("set-cookie"))
    assert me.status_code == 200
    assert out.status_code == 200
    assert (await auth.call("GET", "/auth/me", good.json())).status_code == 401


async def test_the_sandbox_alone_keeps_cookies_on_plain_http_under_names_of_its_own(running):
    async with running(environment="sandbox") as auth:
        browser, address = Browser(auth.http), await auth.register()
        answer = await browser.sign_in(address, PASSWORD)
        assert set(browser.cookies) == {f"fg_sandbox_{one}" for one in ("access", "refresh", "csrf", "browser")}
        assert not any("Secure" in line for line in answer.headers.get_list("set-cookie"))
        stolen = dict(browser.cookies)
    async with running() as auth:
        assert (await Browser(auth.http, cookies=stolen).open(HOME)).status_code == 303
    async with running(environment="sandbox", public_url="https://sandbox.example") as auth:
        browser = Browser(auth.http)
        await browser.open("/auth/pages/sign-in")
        assert set(browser.cookies) == {"__Host-fg_browser"}


async def test_the_rules_for_signing_up_hold_on_the_page_too(running):
    async with running(refuse_disposable_addresses=True) as auth:
        browser = Browser(auth.http)
        await browser.open("/auth/pages/sign-up")
        thrown_away = await browser.send("/auth/pages/sign-up", email="x@mailinator.com", password=PASSWORD)

    assert thrown_away.status_code == 422
    assert 'id="email-wrong"' in thrown_away.text


async def test_the_page_for_signing_up_brings_the_work_that_the_operator_wants(running):
    """By a script of ours; `tests/judges/test_auth_pages.py` lets Chromium do the work."""
    async with running(sign_up_proof="proof_of_work", proof_of_work_bits=1) as auth:
        browser, fields = Browser(auth.http), {"email": "zoe-works@example.com", "password": PASSWORD}
        page = await browser.open("/auth/pages/sign-up")
        script = await browser.open(re.search(r'<script src="([^"]+)" defer>', page.text)[1])
        browser.page = page
        without = await browser.send("/auth/pages/sign-up", **fields)
        challenge, bits = re.search(r'data-work="([^"]+)" data-bits="(\d+)"', without.text).groups()
        number = next(one for one in count() if is_solved(challenge, str(one), bits=int(bits)))
        done = await browser.send("/auth/pages/sign-up", proof=f"{challenge}.{number}", **fields)
        nothing = await browser.open("/auth/pages/static/settings.js")

    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "<noscript>" in page.text
    assert script.headers["content-type"].startswith("text/javascript")
    assert (without.status_code, done.status_code, nothing.status_code) == (422, 200, 404)
    assert "Look into your mailbox" in done.text


async def test_the_page_for_signing_up_leads_to_where_the_captcha_is(running):
    """It loads no script of anybody else."""
    captcha = {"captcha_verify_url": "http://127.0.0.1:1/verify", "captcha_secret": SecretStr("shh")}
    pages = []
    for where in (None, "https://product.example/join"):
        async with running(sign_up_proof="siteverify", sign_up_url=where, **captcha) as auth:
            browser = Browser(auth.http)
            pages.append(await browser.open("/auth/pages/sign-up"))

    assert [re.search(r'class="button" href="([^"?]+)', page.text)[1] for page in pages] == [
        "/auth/pages/sign-in",
        "https://product.example/join",
    ]
    assert all("<form" not in page.text and "script" not in page.text for page in pages)
