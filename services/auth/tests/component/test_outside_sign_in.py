"""Signing in with somebody else: a real OpenID provider in this process, and a scripted GitHub."""

import asyncio
import json
import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx2
import jwt
import pyotp
import pytest
import pytest_asyncio
from oidc_provider_mock import run_server_in_thread
from pydantic import SecretStr, ValidationError
from services.auth.tests.browsing import Browser

from auth.domain.outside import Provider
from kit.clock import ManualClock

PASSWORD = "correct horse battery"
PUBLIC = "http://127.0.0.1:8080"


class GitHub:
    """GitHub as far as a sign-in sees it: token errors come as 200, addresses by the API."""

    def __init__(self):
        self.user, self.emails, self.seen, self.verifiers = {"id": 7, "login": "ada"}, [], [], {}
        github = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self, body):
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def do_POST(self):
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                github.seen.append(form)
                good = form.get("code") == ["good"] and "code_verifier" in form and form["client_secret"] == ["shh"]
                wrong = {"error": "bad_verification_code", "error_description": "The code is incorrect"}
                self._answer({"access_token": "gho_x", "token_type": "bearer", "scope": ""} if good else wrong)

            def do_GET(self):
                assert self.headers["authorization"] == "Bearer gho_x"
                self._answer(github.user if self.path == "/user" else github.emails)

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextmanager
def _openid_provider():
    with run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def issuer():
    with _openid_provider() as url:
        yield url


@pytest.fixture(scope="module")
def github():
    github = GitHub()
    yield github
    github.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def social(running, issuer, github):
    """An auth with both; its time is the provider's, which is the machine's."""
    secret = SecretStr("shh")
    providers = (
        Provider(name="acme", kind="oidc", client_id="faregate", client_secret=secret, issuer=issuer),
        Provider(
            name="github", kind="github", client_id="gh", client_secret=secret, issuer=github.url, api_url=github.url
        ),
    )
    async with running(providers=providers, manual=ManualClock(datetime.now(UTC))) as auth:
        yield auth


async def _person(issuer, **claims):
    """Somebody whom the provider knows."""
    subject = uuid4().hex
    said = {"email": f"{uuid4().hex}@example.com", "email_verified": True, **claims}
    async with httpx2.AsyncClient() as http:
        (await http.put(f"{issuer}/users/{subject}", json=said)).raise_for_status()
    return subject, said["email"]


async def _consent(address, subject):
    """Say yes at the provider; returns where it leads back to."""
    async with httpx2.AsyncClient() as http:
        answer = await http.post(address, data={"sub": subject})
    assert answer.status_code == 302, answer.text
    return answer.headers["location"].removeprefix(PUBLIC)


async def _sent(browser, name="acme", **query):
    there = await browser.open(f"/auth/oauth/{name}" + "".join(f"?{k}={v}" for k, v in query.items()))
    assert there.status_code == 303, there.text
    return there.headers["location"]


async def _signed_in(auth, issuer, subject, **query):
    browser = Browser(auth.http)
    address = await _sent(browser, **query)
    await browser.open(await _consent(address, subject))
    return browser


def _user(browser):
    token = next(value for name, value in browser.cookies.items() if name.endswith("_access"))
    return jwt.decode(token, options={"verify_signature": False})["sub"]


def _tokens(browser):
    token = next(value for name, value in browser.cookies.items() if name.endswith("_access"))
    return {"access_token": token}


async def test_somebody_new_signs_in_with_a_provider_and_comes_back_as_the_same_user(social, issuer):
    subject, address = await _person(issuer)

    first = await _signed_in(social, issuer, subject, next="/auth/pages/keys")
    again = await _signed_in(social, issuer, subject)

    assert (first.page.status_code, first.page.headers["location"]) == (303, "/auth/pages/keys")
    assert _user(first) == _user(again)
    me = (await social.call("GET", "/auth/me", _tokens(first))).json()["user"]
    assert (me["email"], me["email_verified"]) == (address, True)
    identities = (await social.call("GET", "/auth/identities", _tokens(again))).json()["items"]
    assert [(one["provider"], one["issuer"], one["subject"]) for one in identities] == [("acme", issuer, subject)]
    assert {"identity.linked", "session.opened"} <= set(await social.acted(_tokens(first)))


async def test_who_comes_from_a_provider_for_the_first_time_counts_as_a_sign_up_of_the_network(running, issuer):
    provider = Provider(name="acme", kind="oidc", client_id="faregate", client_secret=SecretStr("shh"), issuer=issuer)
    clock = ManualClock(datetime.now(UTC))
    async with running(providers=(provider,), manual=clock, signups_per_hour=1) as auth:
        (first, _), (second, _) = await _person(issuer), await _person(issuer)
        made, known, refused = [await _signed_in(auth, issuer, one) for one in (first, first, second)]
        registered = await auth.http.post("/auth/register", json={"email": "x@example.com", "password": PASSWORD})

    assert (made.page.status_code, known.page.status_code) == (303, 303)
    assert _user(made) == _user(known)
    assert (refused.page.status_code, registered.status_code) == (429, 429)
    assert "Too many registrations from this network" in refused.page.text
    assert not any(name.endswith("_refresh") for name in refused.cookies)


async def test_the_provider_is_asked_with_code_pkce_state_and_nonce(social):
    query = parse_qs(urlsplit(await _sent(Browser(social.http))).query)

    assert query["response_type"] == ["code"]
    assert (query["code_challenge_method"], len(query["code_challenge"][0])) == (["S256"], 43)
    assert query["redirect_uri"] == [f"{PUBLIC}/auth/oauth/acme/callback"]
    assert query["scope"] == ["openid email"]
    assert len(query["nonce"][0]) >= 43
    assert len(query["state"][0]) >= 43


async def test_the_answer_is_taken_from_the_browser_that_went_there_only(social, issuer):
    subject, _ = await _person(issuer)
    browser, other = Browser(social.http), Browser(social.http)
    await other.open("/auth/pages/sign-in")
    back = await _consent(await _sent(browser), subject)

    in_other = await other.open(back)
    without = await Browser(social.http).open(back)
    social.clock.advance(601)
    late = await browser.open(back)
    social.clock.advance(-601)

    assert [one.status_code for one in (in_other, without, late)] == [404, 404, 404]
    assert not any(name.endswith("_refresh") for name in (*other.cookies, *browser.cookies))


async def test_a_refusal_a_wrong_code_and_a_changed_state_sign_nobody_in(social, issuer):
    subject, _ = await _person(issuer)
    browser = Browser(social.http)
    state = parse_qs(urlsplit(await _sent(browser)).query)["state"][0]
    path = "/auth/oauth/acme/callback"
    other = f"/auth/oauth/github/callback?state={state}&code=good"

    answers = [
        await browser.open(f"{path}?state={state}&error=access_denied"),
        await browser.open(f"{path}?state={state}&code=made-up"),
        await browser.open(f"{path}?state={state}&code=x&iss=https://evil.example"),
        await browser.open(f"{path}?state={state[:-4]}AAAA&code=x"),
        await browser.open(path),
        await browser.open(other),
    ]

    assert [one.status_code for one in answers] == [401, 401, 401, 404, 404, 401]
    assert not any(name.endswith("_refresh") for name in browser.cookies)
    assert all("text/html" in one.headers["content-type"] for one in answers)
    assert subject


async def test_a_code_is_of_no_use_to_another_sign_in(social, issuer):
    """The nonce of the ID token is the one of the sign-in that the code was given to."""
    subject, _ = await _person(issuer)
    thief, victim = Browser(social.http), Browser(social.http)
    stolen = parse_qs(urlsplit(await _consent(await _sent(victim), subject)).query)["code"][0]
    state = parse_qs(urlsplit(await _sent(thief)).query)["state"][0]

    answer = await thief.open(f"/auth/oauth/acme/callback?state={state}&code={stolen}")

    assert answer.status_code == 401
    assert not any(name.endswith("_refresh") for name in thief.cookies)


async def test_a_known_address_is_linked_only_if_both_sides_have_verified_it(social, issuer):
    verified, unverified = await social.verified(), await social.register()
    address = (await social.call("GET", "/auth/me", verified)).json()["user"]["email"]
    good, _ = await _person(issuer, email=address)
    only_there, _ = await _person(issuer, email=unverified)
    only_here, _ = await _person(issuer, email=address, email_verified=False)
    claimed, _ = await _person(issuer, email=address, email_verified="true")

    linked = await _signed_in(social, issuer, good)
    refused = [await _signed_in(social, issuer, one) for one in (only_there, only_here, claimed)]

    assert _user(linked) == verified["user_id"]
    assert [one.page.status_code for one in refused] == [403, 403, 403]
    assert (await social.mail(verified["user_id"], kind="sign-in-changed"))["link"] is None


async def test_a_signed_in_user_links_a_provider_after_a_fresh_proof(social, issuer):
    tokens = await social.signed_in()
    subject, _ = await _person(issuer, email_verified=False)
    browser = Browser(social.http)
    path = "/auth/identities/acme/begin"

    wrong = await social.call("POST", path, tokens, password="not the one")
    begun = await social.call("POST", path, tokens, password=PASSWORD)
    browser._keep(begun)
    done = await browser.open(await _consent(begun.json()["address"], subject))
    later = await _signed_in(social, issuer, subject)

    assert wrong.status_code == 403
    assert (done.status_code, "Linked" in done.text) == (200, True)
    assert _user(later) == tokens["user_id"]
    unknown = await social.call("POST", "/auth/identities/nobody/begin", tokens, password=PASSWORD)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_provider")


async def test_linking_ends_with_the_session_that_began_it(social, issuer):
    tokens = await social.signed_in()
    subject, _ = await _person(issuer)
    browser = Browser(social.http)
    browser._keep(begun := await social.call("POST", "/auth/identities/acme/begin", tokens, password=PASSWORD))
    back = await _consent(begun.json()["address"], subject)
    await social.call("POST", "/auth/logout", tokens)

    assert (await browser.open(back)).status_code == 401


async def test_an_identity_of_another_user_is_not_linked(social, issuer):
    subject, _ = await _person(issuer)
    await _signed_in(social, issuer, subject)
    tokens, browser = await social.signed_in(), Browser(social.http)
    browser._keep(begun := await social.call("POST", "/auth/identities/acme/begin", tokens, password=PASSWORD))

    answer = await browser.open(await _consent(begun.json()["address"], subject))

    assert answer.status_code == 409


async def test_a_provider_does_not_replace_the_second_factor(social, issuer):
    tokens = await social.verified()
    address = (await social.call("GET", "/auth/me", tokens)).json()["user"]["email"]
    secret = (await social.call("POST", "/auth/totp", tokens, password=PASSWORD)).json()["secret"]
    code = pyotp.TOTP(secret).at(social.clock.now())
    await social.call("POST", "/auth/totp/confirm", tokens, code=code)
    social.clock.advance(60)
    subject, _ = await _person(issuer, email=address)

    browser = await _signed_in(social, issuer, subject)
    assert (browser.page.status_code, "second factor" in browser.page.text) == (200, True)
    assert not any(name.endswith("_refresh") for name in browser.cookies)
    wrong = await browser.send("/auth/pages/arrival/code", code="000000")
    right = await browser.send("/auth/pages/arrival/code", code=pyotp.TOTP(secret).at(social.clock.now()))

    assert (wrong.status_code, right.status_code) == (401, 303)
    assert _user(browser) == tokens["user_id"]


async def test_github_is_asked_for_the_verified_primary_address(social, github):
    address = f"{uuid4().hex}@example.com"
    github.user = {"id": 583231, "login": "octocat"}
    github.emails = [
        {"email": f"{uuid4().hex}@example.com", "primary": False, "verified": True},
        {"email": address, "primary": True, "verified": True},
    ]
    browser = Browser(social.http)
    there = urlsplit(await _sent(browser, "github"))
    state = parse_qs(there.query)["state"][0]

    wrong = await browser.open(f"/auth/oauth/github/callback?state={state}&code=bad")
    done = await browser.open(f"/auth/oauth/github/callback?state={state}&code=good")

    assert (there.path, parse_qs(there.query)["scope"]) == ("/login/oauth/authorize", ["read:user user:email"])
    assert (wrong.status_code, done.status_code) == (401, 303)
    me = (await social.call("GET", "/auth/me", _tokens(browser))).json()["user"]
    assert (me["email"], me["email_verified"]) == (address, True)
    listed = (await social.call("GET", "/auth/identities", _tokens(browser))).json()["items"]
    assert [(one["issuer"], one["subject"]) for one in listed] == [(github.url, "583231")]


async def test_a_github_user_without_a_verified_primary_address_makes_no_user(social, github):
    github.user = {"id": 99, "login": "mallory"}
    github.emails = [{"email": f"{uuid4().hex}@example.com", "primary": True, "verified": False}]
    browser = Browser(social.http)
    state = parse_qs(urlsplit(await _sent(browser, "github")).query)["state"][0]

    answer = await browser.open(f"/auth/oauth/github/callback?state={state}&code=good")

    assert answer.status_code == 403


async def test_first_sign_ins_at_once_make_one_user(social, issuer):
    subject, _ = await _person(issuer)

    browsers = await asyncio.gather(*(_signed_in(social, issuer, subject) for _ in range(4)))

    assert len({_user(one) for one in browsers}) == 1


async def test_a_provider_that_is_away_or_not_itself_is_no_way_in(running, issuer):
    secret = SecretStr("shh")
    port = urlsplit(issuer).port
    providers = (
        Provider(name="away", kind="oidc", client_id="x", client_secret=secret, issuer="http://127.0.0.1:9"),
        # The same server under another name: its document says who it is.
        Provider(name="false", kind="oidc", client_id="x", client_secret=secret, issuer=f"http://127.0.0.1:{port}/x"),
    )
    async with running(providers=providers) as auth:
        answers = [await auth.http.get(f"/auth/oauth/{name}") for name in ("away", "false", "unknown")]
        page = await auth.http.get("/auth/pages/sign-in")

    assert [one.status_code for one in answers] == [503, 503, 404]
    assert re.findall(r'href="/auth/oauth/(\w+)', page.text) == ["away", "false"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "With Blanks"},
        {"issuer": ""},
        {"issuer": "http://accounts.example"},
        {"algorithms": ("HS256",)},
    ],
)
async def test_a_provider_that_cannot_be_trusted_is_no_setting(running, wrong):
    given = {
        "name": "x",
        "kind": "oidc",
        "client_id": "x",
        "client_secret": SecretStr("x"),
        "issuer": "https://accounts.example",
        **wrong,
    }
    with pytest.raises(ValidationError):
        async with running(providers=(Provider(**given),)):
            pass
