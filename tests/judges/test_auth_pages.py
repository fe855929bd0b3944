"""Auth's pages and the offers in Chromium, at desktop and phone width: axe finds nothing, nothing is cut off."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import pyotp
import pytest
from playwright.async_api import Page, Route, async_playwright
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import signed_up
from tests.judges.conftest import Installed
from tests.judges.test_pages_in_a_browser import FLAGS, PICTURES

from auth.adapters.templates import Templates
from auth.domain.sign_up_proof import is_solved
from auth.entrypoints.visiting import page_headers
from sandbox.demo.customer import Customer

pytestmark = pytest.mark.judge

SOURCES = Path(__file__).parent / "axe"
SIZES = {"desktop": (1200, 860), "phone": (375, 740)}
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
ASKED = {
    "response_type": "code",
    "client_id": "example-desktop",
    "redirect_uri": "http://127.0.0.1:1/callback",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@dataclass
class Looking:
    """A page in Chromium; whatever is looked at is judged and pictured."""

    page: Page
    axe: str
    size: str
    url: str

    async def at(self, name: str, path: str | None = None) -> None:
        if path is not None:
            await self.page.goto(self.url + path)
        await self.page.screenshot(path=PICTURES / f"auth-{name}-{self.size}.png", full_page=True)
        # The pages' own policy lets no script in; the judge is put in from outside of them.
        found = await self.page.evaluate(f"(() => {{ {self.axe} }})(); axe.run()")
        told = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
        assert told == [], (name, self.size, told)
        wide = await self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert not wide, (name, self.size)

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).first.click()
        await self.page.wait_for_load_state()


@asynccontextmanager
async def looking(product: Product, chromium: str, axe: str, size: str) -> AsyncIterator[Looking]:
    width, height = SIZES[size]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = await browser.new_page(viewport={"width": width, "height": height})
        complained: list[str] = []
        page.on("console", lambda one: complained.append(one.text) if "Content Security Policy" in one.text else None)
        yield Looking(page, axe, size, product.url)
        assert complained == []
        await browser.close()


@pytest.fixture(scope="module")
async def axe(installed: Installed) -> str:
    PICTURES.mkdir(parents=True, exist_ok=True)
    return ((await installed(SOURCES)) / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("size", SIZES)
async def test_every_page_is_usable_at_every_width(product: Product, chromium: str, axe: str, size: str) -> None:
    customer = await signed_up(product)
    started = await customer.http.post("/auth/device", data={"client_id": "example-editor"})
    async with looking(product, chromium, axe, size) as seen:
        page = seen.page
        await seen.at("sign-up", "/auth/pages/sign-up")
        await page.get_by_label("E-mail address").fill("somebody@example.com")
        await page.get_by_label("Password").fill("password1")
        await seen.press("Sign up")
        await seen.at("sign-up-wrong")
        for name in (
            "magic-links",
            "passkey",
            "forgot",
            "verify?token=x",
            "reset?token=x",
            "email-change?token=x",
            "invitation?token=x",
        ):
            await seen.at(name.partition("?")[0], f"/auth/pages/{name}")
        await seen.at("offers", "/billing/offers")
        await page.goto(f"{product.url}/auth/pages/invitation?token=x")
        await seen.press("Join the team")
        await seen.at("link-over")

        await page.goto(f"{product.url}/auth/authorize?{urlencode(ASKED)}")
        await seen.at("sign-in")
        await page.get_by_label("E-mail address").fill(customer.email)
        await page.get_by_label("Password").fill("not the password")
        await seen.press("Sign in")
        await seen.at("sign-in-wrong")
        await page.get_by_label("Password").fill(customer.password)
        await seen.press("Sign in")
        await page.wait_for_url("**/auth/authorize?**")
        await seen.at("consent")

        await page.goto(f"{product.url}/auth/pages/device?user_code=BCDF-GHJK")
        await seen.press("Continue")
        await seen.at("device-wrong")
        await page.get_by_label("Code").fill(started.json()["user_code"])
        await seen.press("Continue")
        await seen.at("device-consent")
        await seen.press("Allow")
        await seen.at("device-done")

        await seen.at("programs", "/auth/pages/programs")
        await seen.at("keys-none", "/auth/pages/keys")
        await page.get_by_label("Name").fill("my laptop")
        await seen.press("Make a key")
        await seen.at("keys-made")
        await seen.at("passkeys", "/auth/pages/passkeys")
        await _look_at_credentials(seen, customer)
        await seen.at("sessions", "/auth/pages/sessions")
        await seen.press("Sign out")
        await seen.at("signed-out")


async def _look_at_credentials(seen: Looking, customer: Customer) -> None:
    """Changing the password as far as a refusal; the second factor from its key to its recovery codes."""
    page = seen.page
    await seen.at("password", "/auth/pages/password")
    await page.get_by_label("Your password").fill(customer.password)
    await page.get_by_label("New password").fill("password1")
    await seen.press("Change the password")
    await seen.at("password-wrong")
    await seen.at("second-factor", "/auth/pages/second-factor")
    await page.get_by_label("Your password").fill(customer.password)
    await seen.press("Set it up")
    await seen.at("authenticator")
    await page.get_by_label("Code", exact=True).fill("not a code")
    await seen.press("Switch it on")
    await seen.at("authenticator-wrong")
    await page.get_by_label("Code", exact=True).fill(pyotp.TOTP(await page.locator("#key").inner_text()).now())
    await seen.press("Switch it on")
    await seen.at("recovery-codes")
    await seen.at("second-factor-on", "/auth/pages/second-factor")


@pytest.mark.parametrize("size", SIZES)
async def test_the_page_for_signing_up_does_the_work_that_the_operator_wants(
    product: Product, chromium: str, axe: str, size: str
) -> None:
    """The page and its script as they are, put before Chromium with a challenge; what the form brings is judged."""
    templates, sent, there = Templates(), [], "http://127.0.0.1:1"
    words = {"next": "/", "email": "", "wrong": {}, "csrf": "x", "signed_in": False, "shortest": 8, "longest": 256}
    html = templates.page("sign_up", title="Sign up", work="a.challenge", bits=12, **words)
    files = {"style.css": "text/css", "sign-up-work.js": "text/javascript"}

    async def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if route.request.method == "POST":
            sent.append(parse_qs(route.request.post_data or ""))
            await route.fulfill(status=200, content_type="text/html", body="done")
        elif name in files:
            await route.fulfill(status=200, content_type=files[name], body=templates.source(name))
        else:
            await route.fulfill(status=200, content_type="text/html", headers=page_headers(script=True), body=html)

    async with looking(product, chromium, axe, size) as seen:
        await seen.page.route(f"{there}/**", answer)
        await seen.page.goto(f"{there}/auth/pages/sign-up")
        await seen.page.get_by_label("E-mail address").fill("somebody@example.com")
        await seen.page.get_by_label("Password").fill("correct horse battery")
        await seen.at("sign-up-work")
        await seen.press("Sign up")
        await seen.page.wait_for_function("document.body.textContent === 'done'")

    challenge, _, solution = sent[0]["proof"][0].rpartition(".")
    assert challenge == "a.challenge"
    assert is_solved(challenge, solution, bits=12)


async def test_a_program_is_answered_after_a_consent_in_a_real_browser(
    product: Product, chromium: str, axe: str
) -> None:
    customer = await signed_up(product)
    async with looking(product, chromium, axe, "desktop") as seen:
        page, answered = seen.page, []
        await page.route("http://127.0.0.1:1/**", lambda route: _note(route, answered))
        await page.goto(f"{product.url}/auth/authorize?{urlencode(ASKED)}")
        await page.get_by_label("E-mail address").fill(customer.email)
        await page.get_by_label("Password").fill(customer.password)
        await seen.press("Sign in")
        await page.wait_for_url("**/auth/authorize?**")
        await seen.press("Allow")
        await page.wait_for_url("http://127.0.0.1:1/**")

        assert "code=fgc_" in answered[0]
        cookies = {one["name"]: one for one in await page.context.cookies(product.url)}
        assert set(cookies) == {f"fg_sandbox_{one}" for one in ("access", "refresh", "csrf", "browser")}
        assert [name for name, one in cookies.items() if not one["httpOnly"]] == ["fg_sandbox_csrf"]


async def test_a_page_of_a_product_calls_with_a_token_that_it_keeps_in_memory(
    product: Product, chromium: str, axe: str
) -> None:
    customer = await signed_up(product)
    text = (Path(__file__).parents[2] / "docs" / "integrate" / "web.md").read_text()
    snippet = text.partition("```javascript\n")[2].partition("```")[0]
    async with looking(product, chromium, axe, "desktop") as seen:
        page = seen.page
        await page.goto(f"{product.url}/auth/pages/sign-in?next=/")
        await page.get_by_label("E-mail address").fill(customer.email)
        await page.get_by_label("Password").fill(customer.password)
        await seen.press("Sign in")
        await page.wait_for_url(f"{product.url}/")

        answer = await page.evaluate(f"(async () => {{ {snippet}; return await ask('Hello'); }})()")
        read = await page.evaluate("document.cookie")

    assert len(answer) > 5
    assert "fgr_" not in read


async def _note(route, answered: list[str]) -> None:
    answered.append(route.request.url)
    await route.fulfill(status=200, body="done")
