"""The pay page, the mailbox and the front page in Chromium: a person can pay and read."""

from pathlib import Path

import pytest
from playwright.async_api import async_playwright
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import signed_up

from sandbox.demo.customer import until

pytestmark = pytest.mark.judge

PICTURES = Path("build/pictures")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(autouse=True)
def _pictures() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)


async def test_a_person_pays_on_the_pay_page_and_reads_the_mail(product: Product, chromium: str) -> None:
    customer = await signed_up(product)
    address = await customer.buy("credits_10")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = await browser.new_page(viewport={"width": 1000, "height": 760})

        await page.goto(product.url)
        await page.screenshot(path=PICTURES / "front.png")
        await page.goto(address)
        await page.screenshot(path=PICTURES / "pay.png")
        assert "10" in await page.inner_text("body")
        await page.get_by_role("button", name="Pay").first.click()
        await page.wait_for_load_state()
        await page.wait_for_timeout(3000)
        await page.screenshot(path=PICTURES / "paid.png")

        async def granted() -> bool:
            return await customer.balance() == 15

        await until("the bundle's credits", granted)
        await until("the payment's mail", customer.mails)
        await page.goto(product.mailbox_url)
        await page.screenshot(path=PICTURES / "mailbox.png")
        await page.get_by_role("link").filter(has_text="Payment").first.click()
        await page.screenshot(path=PICTURES / "mail.png")
        assert "10" in await page.inner_text("body")
        await browser.close()
