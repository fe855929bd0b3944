"""A passkey of Chromium's virtual authenticator: made on our page, used to sign in without a name."""

from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from playwright.async_api import CDPSession, Page, async_playwright
from tests.e2e.conftest import Product
from tests.judges.test_pages_in_a_browser import FLAGS

pytestmark = pytest.mark.judge

PASSWORD = "correct horse battery"
PICTURES = Path("build/pictures")
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(autouse=True)
def _pictures() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)


async def _registered(product: Product) -> str:
    body = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
    async with httpx2.AsyncClient(base_url=product.url, trust_env=False, timeout=30) as http:
        (await http.post("/auth/register", json=body)).raise_for_status()
    return body["email"]


async def _authenticator(page: Page) -> tuple[CDPSession, str]:
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    made = await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    return devtools, str(made["authenticatorId"])


async def test_a_person_makes_a_passkey_and_signs_in_with_it(product: Product, chromium: str) -> None:
    email = await _registered(product)
    # Browsers make no passkeys for addresses: the same pages at the name of one's own machine.
    url = product.url.replace("127.0.0.1", "localhost")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = await browser.new_page(viewport={"width": 420, "height": 800})
        devtools, authenticator = await _authenticator(page)

        await page.goto(f"{url}/auth/pages/sign-in?next=/auth/pages/passkeys")
        await page.get_by_label("E-mail address").fill(email)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await page.wait_for_url("**/auth/pages/passkeys")
        await page.get_by_label("What you call it").fill("my laptop")
        await page.get_by_label("Your password").first.fill(PASSWORD)
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_role("button", name="Make the passkey").click()
        await page.wait_for_url("**/auth/pages/passkeys")
        await page.get_by_text("my laptop").first.wait_for()
        await page.screenshot(path=PICTURES / "passkeys.png")
        kept = await devtools.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})
        assert [one["rpId"] for one in kept["credentials"]] == ["localhost"]

        await page.get_by_role("button", name="Sign out").click()
        await page.goto(f"{url}/auth/pages/sign-in?next=/auth/pages/keys")
        await page.get_by_role("link", name="Use a passkey").click()
        await page.screenshot(path=PICTURES / "passkey.png")
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/auth/pages/keys")
        used = await devtools.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})
        assert used["credentials"][0]["signCount"] > kept["credentials"][0]["signCount"]
        await browser.close()
