import json
import re
from html import unescape

from services.auth.tests.authenticator import Authenticator
from services.auth.tests.browsing import Browser

PASSWORD = "correct horse battery"


def _options(page):
    return json.loads(unescape(re.search(r'data-options="([^"]+)"', page.text)[1]))


async def _signed_in(auth):
    browser = Browser(auth.http)
    await browser.sign_in(await auth.register(), PASSWORD)
    return browser


async def _with_passkey(auth):
    browser, device = await _signed_in(auth), Authenticator()
    await browser.open("/auth/pages/passkeys")
    page = await browser.send("/auth/pages/passkeys/new", name="laptop", password=PASSWORD)
    made = await browser.send("/auth/pages/passkeys", credential=json.dumps(device.make(_options(page))))
    assert (made.status_code, made.headers["location"]) == (303, "/auth/pages/passkeys")
    return browser, device


async def test_a_passkey_is_made_on_a_page_and_signs_a_browser_in(auth):
    _, device = await _with_passkey(auth)
    browser = Browser(auth.http)

    page = await browser.open("/auth/pages/passkey?next=/auth/pages/keys")
    answered = json.dumps(device.use(_options(page)))
    signed_in = await browser.send("/auth/pages/passkey", credential=answered)
    own = await browser.open("/auth/pages/passkeys")

    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/auth/pages/keys")
    assert "laptop" in own.text
    again = Browser(auth.http)
    await again.open("/auth/pages/passkey")
    replayed = await again.send("/auth/pages/passkey", credential=answered)
    assert replayed.status_code == 401


async def test_only_pages_with_a_ceremony_run_a_script_and_only_ours(auth):
    page = await auth.http.get("/auth/pages/passkey")
    script = await auth.http.get("/auth/pages/static/passkeys.js")
    other = await auth.http.get("/auth/pages/magic-links")

    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "connect-src" not in page.headers["content-security-policy"]
    assert re.findall(r"<script[^>]*>", page.text) == ['<script src="/auth/pages/static/passkeys.js" defer>']
    assert "script-src" not in other.headers["content-security-policy"]
    assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")


async def test_a_wrong_proof_a_junk_credential_and_another_site_make_no_passkey(auth):
    browser = await _signed_in(auth)
    await browser.open("/auth/pages/passkeys")
    wrong = await browser.send("/auth/pages/passkeys/new", name="x", password="not the one")
    empty = await browser.send("/auth/pages/passkeys/new", name="x")
    begun = await browser.send("/auth/pages/passkeys/new", name="x", password=PASSWORD)
    credential = json.dumps(Authenticator().make(_options(begun)))
    foreign = await browser.send("/auth/pages/passkeys", site="cross-site", credential=credential)
    browser.page = begun
    junk = [await browser.send("/auth/pages/passkeys", credential=one) for one in ("", "7", "{}", '{"id": 7}')]

    assert [one.status_code for one in (wrong, empty, foreign)] == [403, 403, 403]
    assert {one.status_code for one in junk} <= {403, 422}
    assert "You have no passkey" in (await browser.open("/auth/pages/passkeys")).text


async def test_a_passkey_is_removed_on_the_page_after_a_fresh_proof(auth):
    browser, _ = await _with_passkey(auth)
    page = await browser.open("/auth/pages/passkeys")
    passkey_id = re.search(r'<option value="([^"]+)"', page.text)[1]

    wrong = await browser.send("/auth/pages/passkeys/remove", passkey_id=passkey_id, password="not the one")
    unknown = await browser.send("/auth/pages/passkeys/remove", passkey_id="x", password=PASSWORD)
    removed = await browser.send("/auth/pages/passkeys/remove", passkey_id=passkey_id, password=PASSWORD)

    assert [one.status_code for one in (wrong, unknown, removed)] == [403, 404, 303]
    assert "You have no passkey" in (await browser.open("/auth/pages/passkeys")).text
