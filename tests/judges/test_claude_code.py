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

    async def ask(self, prompt: str, *, scenario: str = "text;delay_ms=0", **variables: str) -> dict[str, Any]:
        """The result that it prints as JSON; `variables` are its credential and whatever else it is told."""
        output = await self._run(prompt, "json", scenario=scenario, **variables)
        return dict(json.loads(output))

    async def watch(self, prompt: str, **variables: str) -> list[dict[str, Any]]:
        """All that it prints on the way to the result, an object a line."""
        output = await self._run(prompt, "stream-json", "--verbose", scenario="text;delay_ms=0", **variables)
        return [json.loads(line) for line in output.splitlines()]

    async def _run(self, prompt: str, output_format: str, *flags: str, scenario: str, **variables: str) -> bytes:
        env = {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_CUSTOM_HEADERS": f"anthropic-sandbox-scenario: {scenario}",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            **variables,
        }
        command = (str(self.node), str(self.script), "-p", prompt, "--output-format", output_format, *flags)
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
        return output


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

    async def charged() -> bool:
        # A field that the stand-in does not know yet may be refused by it first, which is free and listed first.
        return sum(Decimal(one["price_credits"]) for one in await listed(customer, 1)) == spent

    await until(f"{spent} credits charged", charged)
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


async def spend(customer: Customer, *, output_tokens: int) -> dict[str, str]:
    """One call of so much; what its answer says of the allowance, the call's own hold included."""
    headers = {
        "x-api-key": customer.api_key,
        "anthropic-version": "2023-06-01",
        "anthropic-sandbox-scenario": f"text;output_tokens={output_tokens};delay_ms=0",
    }
    body = {"model": "claude-opus-5-5", "max_tokens": output_tokens, "messages": [{"role": "user", "content": "Hi"}]}
    answer = await customer.http.post("/v1/messages", headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    return {name.removeprefix(UNIFIED): value for name, value in answer.headers.items() if UNIFIED in name}


async def test_the_headers_by_which_it_warns_say_so_past_75_and_95_percent(customer: Customer) -> None:
    # Credits: 2.53, 1.38 and 0.92 of five, each held while the answer's head is written.
    seen = [await spend(customer, output_tokens=tokens) for tokens in (110_000, 60_000, 40_000)]

    assert [one["status"] for one in seen] == ["allowed", "allowed_warning", "allowed_warning"]
    assert [one.get("7d-surpassed-threshold") for one in seen] == [None, "0.75", "0.95"]
    assert [float(one["7d-utilization"]) for one in seen] == [0.5, 0.78, 0.96]


async def test_in_its_gateway_mode_the_client_itself_warns_past_75_and_95_percent(
    claude_code: ClaudeCode, customer: Customer
) -> None:
    """With an API key it reads the headers only where it is told that it talks to a gateway."""
    variables = {
        "ANTHROPIC_AUTH_TOKEN": customer.api_key,
        "CLAUDE_CODE_USE_GATEWAY": "1",
        # So that its own calls hold next to nothing.
        "ANTHROPIC_MODEL": "claude-haiku-4-5",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "1000",
        "MAX_THINKING_TOKENS": "0",
    }
    warnings = []
    # Of five credits 3.91 are spent, then 4.78.
    for spent in ((110_000, 60_000), (38_000,)):
        for tokens in spent:
            await spend(customer, output_tokens=tokens)
        printed = await claude_code.watch("Say hello", **variables)
        assert printed[-1]["type"] == "result"
        assert printed[-1]["is_error"] is False, printed[-1]
        warnings += [one["rate_limit_info"] for one in printed if one["type"] == "rate_limit_event"]

    assert [one["status"] for one in warnings] == ["allowed_warning", "allowed_warning"]
    assert [one["surpassedThreshold"] for one in warnings] == [0.75, 0.95]
    assert 0.75 <= warnings[0]["utilization"] < 0.95 <= warnings[1]["utilization"]
