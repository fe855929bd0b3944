"""Claude Code in print mode, as published: it is answered and charged, and it stops when the credits are gone."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import signed_up
from tests.judges.conftest import Installed

from sandbox.demo.customer import Customer, until

pytestmark = [pytest.mark.judge, pytest.mark.timeout(180)]

SOURCES = Path(__file__).parent / "claude_code"
TIMEOUT_S = 60
# Of Claude Opus 5.5, its default model: the book's prices and 15 % on top.
INPUT_CREDITS, OUTPUT_CREDITS = Decimal("0.0000046"), Decimal("0.000023")
UNIFIED = "anthropic-ratelimit-unified-"
Refusals = Callable[[], Coroutine[Any, Any, int]]


@dataclass(frozen=True)
class ClaudeCode:
    """The program, away from whatever the developer's own one knows: nothing of our environment reaches it."""

    node: Path
    script: Path
    home: Path
    url: str

    async def ask(self, prompt: str, *, scenario: str = "text;delay_ms=0", **credential: str) -> dict[str, Any]:
        """The result that it prints as JSON."""
        env = {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_CUSTOM_HEADERS": f"anthropic-sandbox-scenario: {scenario}",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            **credential,
        }
        command = (str(self.node), str(self.script), "-p", prompt, "--output-format", "json")
        command += ("--tools", "Read", "--strict-mcp-config", "--max-turns", "20")
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.home,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert output.startswith(b"{"), errors.decode()
        return dict(json.loads(output))


@pytest.fixture(scope="module")
async def claude_code(product: Product, node: Path, installed: Installed, tmp_path_factory: Any) -> ClaudeCode:
    modules = await installed(SOURCES)
    script = modules / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"
    return ClaudeCode(node, script, tmp_path_factory.mktemp("home"), product.url)


@pytest.fixture
async def customer(product: Product) -> AsyncIterator[Customer]:
    customer = await signed_up(product)
    yield customer
    await customer.http.aclose()


@pytest.fixture
async def refusals(product: Product, customer: Customer) -> Refusals:
    """Awaited: the calls refused by the gateway since the test began; all judges' calls are one after another."""

    async def count() -> int:
        text = (await customer.http.get("/metrics")).text
        return int(
            sum(float(value) for value in re.findall(r"^faregate_calls_refused_total\S* (\S+)$", text, re.MULTILINE))
        )

    before = await count()

    async def since() -> int:
        return await count() - before

    return since


async def listed(customer: Customer, count: int) -> list[dict[str, Any]]:
    async def are_there() -> bool:
        return len((await customer.get("/v1/requests"))["items"]) >= count

    await until(f"{count} charged calls", are_there)
    requests = (await customer.get("/v1/requests"))["items"]
    return [await customer.get(f"/v1/requests/{one['id']}") for one in requests]


@pytest.mark.parametrize("variable", ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"])
async def test_a_prompt_is_answered_and_charged(claude_code: ClaudeCode, customer: Customer, variable: str) -> None:
    result = await claude_code.ask("Say hello", **{variable: customer.api_key})

    assert result["is_error"] is False, result
    assert result["result"].startswith("This is the sandbox speaking")
    usage = result["usage"]
    spent = usage["input_tokens"] * INPUT_CREDITS + usage["output_tokens"] * OUTPUT_CREDITS
    requests = await listed(customer, 1)
    # A field that the stand-in does not know yet may be refused by it first, which is free.
    assert sum(Decimal(one["price_credits"]) for one in requests) == spent
    assert await customer.balance() == 5 - spent


async def test_an_account_that_runs_dry_half_way_stops_the_client_with_our_words(
    claude_code: ClaudeCode, customer: Customer, refusals: Refusals
) -> None:
    # Each call ends in the use of a tool, so the client goes on until it may not.
    result = await claude_code.ask(
        "Say hello", scenario="tools;output_tokens=30000;delay_ms=0", ANTHROPIC_AUTH_TOKEN=customer.api_key
    )

    assert (result["is_error"], result["api_error_status"]) == (True, 402)
    assert result["num_turns"] >= 3
    told = re.fullmatch(
        r"API Error: 402 Your credits do not cover this call: it needs up to ([0-9.]+) credits, and ([0-9.]+) "
        r"credits are left\. .*Add credits or upgrade at (\S+)",
        result["result"],
    )
    assert told is not None, result["result"]
    assert Decimal(told[1]) > Decimal(told[2]) == await customer.balance() > 0
    assert told[3].endswith("/billing/offers")
    # The last call once, and not again: refused is refused.
    assert await refusals() == 1
    assert len(await listed(customer, result["num_turns"] - 1)) <= result["num_turns"] + 2


async def test_a_bad_key_stops_the_client_at_once(claude_code: ClaudeCode, refusals: Refusals) -> None:
    result = await claude_code.ask("Say hello", ANTHROPIC_AUTH_TOKEN="fg_test_nonsense")

    assert (result["is_error"], result["api_error_status"]) == (True, 401)
    assert await refusals() <= 1


async def test_the_headers_by_which_it_warns_say_so_past_75_and_95_percent(customer: Customer) -> None:
    """In print mode nothing of it is shown; this is what its screen reads."""
    headers = {"x-api-key": customer.api_key, "anthropic-version": "2023-06-01"}
    seen = []
    # Credits: 2.53, 1.38 and 0.92 of five, each held while the answer's head is written.
    for tokens in (110_000, 60_000, 40_000):
        scenario = {"anthropic-sandbox-scenario": f"text;output_tokens={tokens};delay_ms=0"}
        body = {"model": "claude-opus-5-5", "max_tokens": tokens, "messages": [{"role": "user", "content": "Hi"}]}
        answer = await customer.http.post("/v1/messages", headers={**headers, **scenario}, json=body)
        assert answer.status_code == 200, answer.text
        seen.append({name.removeprefix(UNIFIED): value for name, value in answer.headers.items() if UNIFIED in name})

    assert [one["status"] for one in seen] == ["allowed", "allowed_warning", "allowed_warning"]
    assert [one.get("7d-surpassed-threshold") for one in seen] == [None, "0.75", "0.95"]
    assert [float(one["7d-utilization"]) for one in seen] == [0.5, 0.78, 0.96]
