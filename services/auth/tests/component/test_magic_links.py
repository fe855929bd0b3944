import asyncio
from uuid import uuid4

import pyotp
import pytest
from services.auth.tests.browsing import Browser

PASSWORD = "correct horse battery"
PUBLIC = "http://127.0.0.1:8080"


async def _asked(auth, address, browser=None):
    """A browser that has asked for a link by the page."""
    browser = browser or Browser(auth.http)
    await browser.open("/auth/pages/magic-links")
    answer = await browser.send("/auth/pages/magic-links", email=address)
    assert answer.status_code == 200, answer.text
    return browser


async def _link(auth, user_id):
    return (await auth.mail(user_id, kind="magic-link"))["link"].removeprefix(PUBLIC)


def _is_in(browser):
    return any(name.endswith("_refresh") for name in browser.cookies)


async def test_a_link_signs_in_by_its_button_in_the_browser_that_asked(auth):
    tokens = await auth.login(address := await auth.register())
    browser = await _asked(auth, address)
    link = await _link(auth, tokens["user_id"])
    stranger = Browser(auth.http)

    await browser.open(link)
    assert not _is_in(browser)
    await stranger.open(link)
    elsewhere = await stranger.send("/auth/pages/magic-link")
    scanner = await auth.http.post("/auth/pages/magic-link", data={"token": link.partition("=")[2]})
    await browser.open(link)
    used = await browser.send("/auth/pages/magic-link")

    assert [(one.status_code, "browser that asked" in one.text) for one in (elsewhere, scanner)] == [(403, True)] * 2
    assert (used.status_code, _is_in(browser), _is_in(stranger)) == (303, True, False)
    me = (await auth.call("GET", "/auth/me", tokens)).json()["user"]
    assert me["email_verified"] is True
    assert "session.opened" in await auth.acted(tokens)


async def test_a_magic_link_works_once_also_for_clicks_at_once_and_spoils_earlier_ones(auth):
    tokens = await auth.login(address := await auth.register())
    browser = await _asked(auth, address)
    earlier = await _link(auth, tokens["user_id"])
    await _asked(auth, address, browser)
    link = await _link(auth, tokens["user_id"])
    assert link != earlier

    cookies = dict(browser.cookies)
    copies = [Browser(auth.http, cookies=dict(cookies)) for _ in range(3)]
    for one in copies:
        await one.open(link)
    answers = await asyncio.gather(*(one.send("/auth/pages/magic-link") for one in copies))
    late = Browser(auth.http, cookies=dict(cookies))
    await late.open(earlier)
    spoiled = await late.send("/auth/pages/magic-link")

    assert sorted(one.status_code for one in answers) == [303, 410, 410]
    assert spoiled.status_code == 410


async def test_a_magic_link_lasts_ten_minutes(auth):
    tokens = await auth.login(address := await auth.register())
    browser = await _asked(auth, address)
    link = await _link(auth, tokens["user_id"])
    await browser.open(link)

    auth.clock.advance(601)

    assert (await browser.send("/auth/pages/magic-link")).status_code == 410


async def test_asking_for_a_link_answers_alike_for_known_and_unknown_addresses(auth):
    known, unknown = await auth.register(), f"{uuid4().hex}@example.com"

    answers = [await auth.http.post("/auth/magic-links", json={"email": one}) for one in (known, unknown)]

    assert [(one.status_code, one.json()) for one in answers] == [(202, {"status": "ok"})] * 2
    assert [len(one.headers.get_list("set-cookie")) for one in answers] == [1, 1]


async def test_a_program_asks_for_a_link_and_the_browser_with_its_cookie_uses_it(auth):
    tokens = await auth.login(address := await auth.register())
    browser = Browser(auth.http)
    browser._keep(await auth.http.post("/auth/magic-links", json={"email": address}))

    await browser.open(await _link(auth, tokens["user_id"]))
    used = await browser.send("/auth/pages/magic-link")

    assert (used.status_code, _is_in(browser)) == (303, True)


async def test_links_to_one_address_are_few(auth):
    address = await auth.register()
    user = await auth.login(address)
    for _ in range(5):
        await auth.http.post("/auth/magic-links", json={"email": address})

    sent = await auth.events("auth.message-requested.v1", at_least=3, user_id=user["user_id"], kind="magic-link")
    assert len(sent) == 3


async def test_a_link_does_not_replace_the_second_factor(auth):
    tokens = await auth.login(address := await auth.register())
    secret = (await auth.call("POST", "/auth/totp", tokens, password=PASSWORD)).json()["secret"]
    await auth.call("POST", "/auth/totp/confirm", tokens, code=pyotp.TOTP(secret).at(auth.clock.now()))
    auth.clock.advance(60)
    browser = await _asked(auth, address)
    await browser.open(await _link(auth, tokens["user_id"]))

    asked = await browser.send("/auth/pages/magic-link")
    assert (asked.status_code, _is_in(browser)) == (200, False)
    wrong = await browser.send("/auth/pages/arrival/code", code="000000")
    stolen = Browser(auth.http, page=wrong)
    foreign = await stolen.send("/auth/pages/arrival/code", code=pyotp.TOTP(secret).at(auth.clock.now()))
    right = await browser.send("/auth/pages/arrival/code", code=pyotp.TOTP(secret).at(auth.clock.now()))

    assert [one.status_code for one in (wrong, foreign, right)] == [401, 403, 303]
    assert _is_in(browser)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_cannot_press_the_button(auth, site):
    tokens = await auth.login(address := await auth.register())
    browser = await _asked(auth, address)
    await browser.open(await _link(auth, tokens["user_id"]))

    assert (await browser.send("/auth/pages/magic-link", site=site)).status_code == 403
    assert not _is_in(browser)
