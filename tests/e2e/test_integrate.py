"""docs/integrate shows each kind of client how to sign in and call; every snippet runs here as it is written."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import jwt
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from services.auth.tests.browsing import Browser
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import signed_up

from sandbox.demo.customer import Customer

pytestmark = pytest.mark.stack

DOCS = Path(__file__).parents[2] / "docs" / "integrate"
DONE_S = 60


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)


class Running:
    """A snippet at work; what it prints is read as it comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.printed = ""

    async def line(self, pattern: str) -> re.Match[str]:
        assert self._process.stdout is not None
        async with asyncio.timeout(DONE_S):
            while (found := re.search(pattern, self.printed)) is None:
                read = await self._process.stdout.readline()
                assert read, self.printed
                self.printed += read.decode()
        return found

    async def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())
        await self._process.stdin.drain()

    async def end(self) -> str:
        rest, _ = await asyncio.wait_for(self._process.communicate(), DONE_S)
        self.printed += rest.decode()
        assert self._process.returncode == 0, self.printed
        return self.printed


@asynccontextmanager
async def running(product: Product, *command: str, **env: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "FAREGATE_URL": product.url, "no_proxy": "127.0.0.1", **env},
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def shell(product: Product, script: str, **env: str) -> str:
    async with running(product, "bash", "-euo", "pipefail", "-c", script, **env) as snippet:
        return await snippet.end()


def python(product: Product, script: str, **env: str):
    return running(product, sys.executable, "-c", script, **env)


async def browser_of(customer: Customer) -> Browser:
    """A browser in which the customer has signed in, with a page's form and nothing else."""
    browser = Browser(customer.http)
    answer = await browser.sign_in(customer.email, customer.password)
    assert answer.status_code == 303, answer.text
    return browser


def path_of(product: Product, address: str) -> str:
    assert address.startswith(product.url)
    return address.removeprefix(product.url)


async def test_an_editor_signs_in_with_a_code_that_its_user_types(product: Product) -> None:
    customer = await signed_up(product)
    browser = await browser_of(customer)
    (snippet,) = blocks("editor", "python")

    async with python(product, snippet) as editor:
        shown = await editor.line(r"Open (\S+) and compare the code (\S+)")
        await browser.open(path_of(product, shown[1]))
        asked = await browser.send("/auth/pages/device", user_code=shown[2])
        assert "Example editor" in asked.text
        allowed = await browser.send("/auth/pages/device/decision", decision="allow")
        assert allowed.status_code == 200
        printed = await editor.end()

    assert "refreshed for 600 seconds" in printed
    sessions = await customer.get("/auth/sessions")
    assert not any("urllib" in one["device"] for one in sessions["items"])


async def test_a_desktop_program_is_answered_on_its_loopback_address(product: Product) -> None:
    customer = await signed_up(product)
    browser = await browser_of(customer)
    (snippet,) = blocks("desktop", "python")

    async with python(product, snippet) as desktop:
        address = (await desktop.line(r"Open (\S+)"))[1]
        page = await browser.open(path_of(product, address))
        assert "Example desktop program" in page.text
        allowed = await browser.send("/auth/pages/consent", decision="allow")
        async with httpx2.AsyncClient(trust_env=False) as outside:
            assert (await outside.get(allowed.headers["location"])).status_code == 200
        printed = await desktop.end()

    assert f"Signed in as {customer.email}" in printed


async def test_a_web_application_with_a_server_keeps_its_tokens_there(product: Product) -> None:
    customer = await signed_up(product)
    browser = await browser_of(customer)
    (register,), (snippet,) = blocks("web", "bash"), blocks("web", "python")
    registered = await shell(product, register, TOKEN=await _stepped_up(product))

    async with python(product, snippet, REGISTERED=registered) as server:
        address = (await server.line(r"Open (\S+)"))[1]
        page = await browser.open(path_of(product, address))
        assert "Example shop" in page.text
        allowed = await browser.send("/auth/pages/consent", decision="allow")
        await server.type(allowed.headers["location"])
        printed = await server.end()
    again = await browser.open(path_of(product, address))

    assert "Balance: 5" in printed
    assert "Active: True" in printed
    assert again.headers["location"].startswith("https://shop.example/callback?code=")


async def test_a_server_calls_with_a_key_and_checks_tokens_by_itself(product: Product) -> None:
    customer = await signed_up(product)
    make, older = blocks("server", "bash")
    call, check = blocks("server", "python")

    made = await shell(product, make, TOKEN=customer.token)
    async with python(product, call, MADE=made) as job:
        assert await job.end()
    balance = await shell(product, older, EMAIL=customer.email, PASSWORD=customer.password)
    async with python(product, check, TOKEN=customer.token) as checking:
        printed = await checking.end()

    assert json.loads(made)["key"].startswith("fg_live_")
    assert '"available_credits"' in balance
    claims = jwt.decode(customer.token, options={"verify_signature": False})
    assert f"User {claims['sub']} in account {claims['account']} as owner" in printed


async def _stepped_up(product: Product) -> str:
    token, password = await product.operator_token(), product.credentials.operator.password
    async with httpx2.AsyncClient(base_url=product.url, trust_env=False) as http:
        headers = {"authorization": f"Bearer {token}"}
        answer = await http.post("/auth/step-up", json={"password": password}, headers=headers)
        return str(answer.raise_for_status().json()["access_token"])


async def test_authlib_speaks_the_device_flow_with_us(product: Product) -> None:
    customer = await signed_up(product)
    browser = await browser_of(customer)
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    async with AsyncOAuth2Client("example-editor", token_endpoint_auth_method="none", trust_env=False) as client:
        asked = await customer.http.post("/auth/device", data={"client_id": client.client_id})
        device, token_url = asked.json(), f"{product.url}/auth/token"

        with pytest.raises(OAuthError) as waiting:
            await client.fetch_token(token_url, grant_type=grant, device_code=device["device_code"])
        await browser.open("/auth/pages/device")
        await browser.send("/auth/pages/device", user_code=device["user_code"])
        await browser.send("/auth/pages/device/decision", decision="allow")
        await client.fetch_token(token_url, grant_type=grant, device_code=device["device_code"])
        first = client.token["refresh_token"]
        await client.refresh_token(token_url)
        me = await client.get(f"{product.url}/auth/me")
        await client.revoke_token(f"{product.url}/auth/revoke", token=client.token["refresh_token"])
        with pytest.raises(OAuthError) as over:
            await client.refresh_token(token_url)

    assert waiting.value.error == "authorization_pending"
    assert over.value.error == "invalid_grant"
    assert client.token["refresh_token"] != first
    assert me.json()["user"]["email"] == customer.email
