"""The story of Faregate, told by doing it: from sign-up to a charged call, a warning, a payment, and on."""

import asyncio
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Final

import anthropic
from anthropic.types import MessageParam

from sandbox.demo.customer import LARGE_CALL_TOKENS, MODEL, Customer, StoryError, until
from sandbox.demo.screen import Screen, Stream

TRIAL_CREDITS: Final = Decimal(5)
BUNDLE: Final = "credits_10"
BUNDLE_CREDITS: Final = Decimal(10)
QUESTION: Final[list[MessageParam]] = [{"role": "user", "content": "Tell me of a city that prepaid for its lamp oil."}]
WARNINGS: Final = ("25 %", "10 %", "used up", "refused")
EXPLAINED: Final = (
    "id",
    "model",
    "outcome",
    "counts",
    "price_book_version",
    "markup_percent",
    "lines",
    "grants",
    "transfers",
)


async def tell(customer: Customer, screen: Screen) -> None:
    """Every step fails loudly with `StoryError`."""
    screen.step("Sign up, log in, make an API key")
    await customer.sign_up()
    screen.good(f"API key {customer.api_key[:12]}… (shown once, kept as a hash)")

    screen.step("The ledger grants the trial plan")
    await until("the trial's credits", lambda: _has(customer, TRIAL_CREDITS))
    screen.good(f"balance {await customer.balance():.2f} credits (1 credit = 1 USD)")

    await _first_calls(customer, screen)
    await _run_dry(customer, screen)
    await _pay(customer, screen)

    screen.step("Calls go on")
    before = len(await customer.all_pages("/v1/requests"))
    await customer.sdk().messages.create(model=MODEL, max_tokens=64, messages=QUESTION)
    screen.good("200 again")
    await until("the last call in the list", lambda: _listed(customer, before + 1))
    await _check_the_books(customer, screen)


async def _has(customer: Customer, amount: Decimal) -> bool:
    # A new account is known to the ledger a moment after its sign-up.
    with suppress(StoryError):
        return await customer.balance() >= amount
    return False


async def _first_calls(customer: Customer, screen: Screen) -> None:
    screen.step("Stream a call with the official Anthropic SDK; it is charged once, a moment after its end")
    before = await customer.balance()
    with screen.streaming() as stream:
        watching = asyncio.create_task(_watch(customer, stream))
        async with customer.sdk(with_token=True).messages.stream(
            model=MODEL, max_tokens=120, messages=QUESTION
        ) as answer:
            async for text in answer.text_stream:
                stream.wrote(text)
            usage = (await answer.get_final_message()).usage
        await until("the charge in the balance", lambda: _moved(customer, before), timeout_s=5)
        stream.balance(await customer.balance())
        watching.cancel()
    screen.good(
        f"{usage.input_tokens} tokens in, {usage.output_tokens} out, {before - await customer.balance():.9f} credits"
    )

    screen.step("The same without streaming; then ask why it cost what it cost")
    await customer.sdk().messages.create(model=MODEL, max_tokens=64, messages=QUESTION)
    await until("both calls in the list", lambda: _listed(customer, 2))
    request = (await customer.get("/v1/requests"))["items"][0]
    explained = await customer.get(f"/v1/requests/{request['id']}")
    rows = [row for name in EXPLAINED for row in _rows(name, explained[name])]
    screen.table("GET /v1/requests/{id}", ["what", "value"], [*rows, ["price_credits", explained["price_credits"]]])


async def _watch(customer: Customer, stream: Stream) -> None:
    while True:
        stream.balance(await customer.balance())
        await asyncio.sleep(0.2)


async def _moved(customer: Customer, before: Decimal) -> bool:
    return await customer.balance() < before


async def _listed(customer: Customer, count: int) -> bool:
    return len(await customer.all_pages("/v1/requests")) >= count


def _rows(name: str, value: object) -> list[list[str]]:
    if isinstance(value, dict):
        return [[f"{name}.{inner}", str(item)] for inner, item in value.items() if item]
    if isinstance(value, list):
        return [[f"{name}[{number}]", _short(item)] for number, item in enumerate(value)]
    return [[name, str(value)]]


def _short(item: object) -> str:
    if isinstance(item, dict):
        shown = {name: value for name, value in item.items() if value is not None and not name.endswith(("_at", "_id"))}
        return ", ".join(f"{name} {value}" for name, value in shown.items())
    return str(item)


async def _run_dry(customer: Customer, screen: Screen) -> None:
    screen.step("Use the credits up: warnings at 25 %, 10 % and empty, then a clear 402")
    scenario = {"anthropic-sandbox-scenario": f"text;output_tokens={LARGE_CALL_TOKENS};delay_ms=0"}
    refused = await _call_until_refused(customer, screen, max_tokens=LARGE_CALL_TOKENS, headers=scenario)
    tokens = LARGE_CALL_TOKENS
    while tokens > 16:
        # Ever smaller calls use up what is left, as an impatient customer would.
        tokens //= 4
        headers = {"anthropic-sandbox-scenario": f"text;output_tokens={tokens};delay_ms=0"}
        refused = await _call_until_refused(customer, screen, max_tokens=tokens, headers=headers)
    body = refused.body if isinstance(refused.body, dict) else {}
    error = body.get("error", {})
    if refused.status_code != 402 or error.get("type") != "billing_error":
        raise StoryError(f"expected 402 billing_error, got {refused.status_code} {error}")
    screen.good(f"402 billing_error: {error['message']}")
    await until("a mail for each warning", lambda: _warned(customer))
    for mail in reversed(await customer.mails()):
        screen.fact(f"mail: {mail['subject']}")


async def _warned(customer: Customer) -> bool:
    subjects = " / ".join(mail["subject"] for mail in await customer.mails())
    return all(warning in subjects for warning in WARNINGS)


async def _call_until_refused(
    customer: Customer, screen: Screen, *, max_tokens: int, headers: dict[str, str]
) -> anthropic.APIStatusError:
    sdk = customer.sdk()
    for _ in range(20):
        before = await customer.balance()
        try:
            async with sdk.messages.stream(
                model=MODEL, max_tokens=max_tokens, messages=QUESTION, extra_headers=headers
            ) as answer:
                await answer.until_done()
        except anthropic.APIStatusError as refused:
            return refused
        await until("the charge in the balance", partial(_moved, customer, before), timeout_s=5)
        screen.fact(f"{max_tokens} tokens: {await customer.balance():.4f} credits left")
    raise StoryError("twenty calls were not refused although the credits must be gone")


async def _pay(customer: Customer, screen: Screen) -> None:
    screen.step(f"Buy the bundle {BUNDLE}")
    page_url = await customer.buy(BUNDLE)
    screen.fact(f"pay page {page_url}")
    before = await customer.balance()
    await customer.press_pay(page_url)
    await until("the bundle's credits", lambda: _has(customer, before + BUNDLE_CREDITS))
    screen.good(f"Stripe's webhook was verified, the ledger granted: {await customer.balance():.4f} credits")


async def _check_the_books(customer: Customer, screen: Screen) -> None:
    screen.step("Check the books")
    await until("every call charged", lambda: _settled(customer))
    requests = await customer.all_pages("/v1/requests")
    transactions = await customer.all_pages("/ledger/transactions")
    total = sum((Decimal(one["amount_credits"]) for one in transactions), Decimal(0))
    balance = await customer.balance()
    charged = sum((Decimal(one["price_credits"]) for one in requests), Decimal(0))
    deducted = -sum((Decimal(one["amount_credits"]) for one in transactions if one["type"] == "deduction"), Decimal(0))
    rows = [
        ["sum of all transactions", f"{total:.9f}"],
        ["balance", f"{balance:.9f}"],
        ["charges of all calls", f"{charged:.9f}"],
        ["deductions", f"{deducted:.9f}"],
    ]
    screen.table(f"{len(requests)} calls, {len(transactions)} transactions", ["credits", ""], rows)
    if total != balance or charged != deducted:
        raise StoryError("the books do not add up")
    screen.good("they add up to the nano-credit")


async def _settled(customer: Customer) -> bool:
    charged = sum((Decimal(one["price_credits"]) for one in await customer.all_pages("/v1/requests")), Decimal(0))
    return charged > 0 and charged == TRIAL_CREDITS + BUNDLE_CREDITS - await customer.balance()
