"""Pages on which a user changes the password, and sets up, renews and removes the second factor; without a script."""

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from services.auth.tests.browsing import Browser

from auth.adapters.pictures import qr_code

PASSWORD = "correct horse battery"
NEW = "an even better horse"
FACTOR = "/auth/pages/second-factor"


def _codes(page):
    return re.findall(r"<li>([a-z0-9]{6}-[a-z0-9]{6})</li>", page.text)


async def _secret(browser):
    """Begins with a second factor; the secret as the page shows it."""
    await browser.open(FACTOR)
    page = await browser.send(FACTOR, password=PASSWORD)
    assert page.status_code == 200, page.text
    return re.search(r'id="key">([A-Z2-7]{32})<', page.text)[1]


async def _with_factor(auth, browser):
    secret = await _secret(browser)
    shown = await browser.send(f"{FACTOR}/confirm", code=auth.code(secret))
    auth.clock.advance(60)
    return secret, shown


async def test_a_password_is_changed_on_a_page_and_other_sessions_end(auth, browser):
    other = await auth.login(browser.address)
    await browser.open("/auth/pages/password")

    wrong = await browser.send("/auth/pages/password", password="not the one", new_password=NEW)
    weak = await browser.send("/auth/pages/password", password=PASSWORD, new_password="password1")
    short = await browser.send("/auth/pages/password", password=PASSWORD, new_password="short")
    done = await browser.send("/auth/pages/password", password=PASSWORD, new_password=NEW)
    told = await auth.events("auth.message-requested.v1", user_id=other["user_id"], kind="password-changed")

    assert [one.status_code for one in (wrong, weak, short, done)] == [403, 422, 422, 200]
    assert 'id="password-wrong"' in wrong.text
    for page in (weak, short):
        assert re.search(r'id="new_password"[^>]* aria-invalid="true"[^>]* aria-describedby="[^"]*-wrong"', page.text)
    assert not any(secret in page.text for page in (wrong, weak) for secret in (NEW, "password1", "not the one"))
    assert len(told) == 1
    assert (await browser.open("/auth/pages/sessions")).status_code == 200
    assert (await auth.refresh(other["refresh_token"])).status_code == 401
    await auth.login(browser.address, password=NEW)


async def test_a_second_factor_is_set_up_on_pages_and_its_recovery_codes_are_shown_once(auth, browser):
    refused = [
        await browser.open(FACTOR),
        await browser.send(FACTOR, password="not the one"),
    ]
    secret = await _secret(browser)
    page = browser.page
    link = unescape(re.search(r'href="(otpauth://[^"]+)"', page.text)[1])
    wrong = await browser.send(f"{FACTOR}/confirm", code="000000")
    shown = await browser.send(f"{FACTOR}/confirm", code=auth.code(secret))
    after = await browser.open(FACTOR)
    auth.clock.advance(60)
    fresh = Browser(auth.http)
    asked = await fresh.sign_in(browser.address, PASSWORD)
    entered = await fresh.send("/auth/pages/sign-in/code", code=_codes(shown)[0])

    assert [one.status_code for one in refused] == [200, 403]
    assert parse_qs(urlsplit(link).query)["secret"] == [secret]
    assert qr_code(link) in page.text
    assert (wrong.status_code, shown.status_code) == (403, 200)
    assert secret in wrong.text
    assert 'id="code-wrong"' in wrong.text
    assert len(set(_codes(shown))) == 10
    assert _codes(after) == []
    assert secret not in after.text
    assert "second factor" in asked.text
    assert (entered.status_code, entered.headers["location"]) == (303, "/auth/pages/sessions")


async def test_a_second_factor_is_renewed_and_removed_with_password_and_code_only(auth, browser):
    secret, first = await _with_factor(auth, browser)
    await browser.open(FACTOR)

    without = await browser.send(f"{FACTOR}/change", password=PASSWORD, do="remove")
    renewed = await browser.send(f"{FACTOR}/change", password=PASSWORD, code=auth.code(secret), do="codes")
    old = _codes(first)[0]
    await browser.open(FACTOR)
    spoiled = await browser.send(f"{FACTOR}/change", password=PASSWORD, code=old, do="remove")
    removed = await browser.send(f"{FACTOR}/change", password=PASSWORD, code=_codes(renewed)[0], do="remove")

    assert [one.status_code for one in (without, renewed, spoiled, removed)] == [403, 200, 403, 303]
    assert all('id="code-wrong"' in page.text for page in (without, spoiled))
    assert set(_codes(renewed)).isdisjoint(_codes(first))
    assert (await Browser(auth.http).sign_in(browser.address, PASSWORD)).status_code == 303


async def test_what_an_app_is_set_up_with_is_for_the_browser_that_began_and_for_ten_minutes(auth, browser):
    secret = await _secret(browser)
    pending = re.search(r'name="pending" value="([^"]+)"', browser.page.text)[1]
    stranger = Browser(auth.http)
    await stranger.sign_in(await auth.register(), PASSWORD)
    await stranger.open(FACTOR)

    elsewhere = await stranger.send(f"{FACTOR}/confirm", code=auth.code(secret), pending=pending)
    auth.clock.advance(601)
    late = await browser.send(f"{FACTOR}/confirm", code=auth.code(secret))

    assert [one.status_code for one in (elsewhere, late)] == [404, 404]
    assert secret not in elsewhere.text


@pytest.mark.parametrize("path", ["password", "second-factor", "second-factor/confirm", "second-factor/change"])
async def test_another_site_changes_no_credential(browser, path):
    await browser.open(FACTOR)

    answer = await browser.send(f"/auth/pages/{path}", site="cross-site", password=PASSWORD, new_password=NEW)

    assert answer.status_code == 403
