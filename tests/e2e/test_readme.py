"""The README's own words work, word for word."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest
from tests.e2e.conftest import Product

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


async def run(product: Product, *command: str, env: dict[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "FAREGATE_STATE": str(product.folder), **(env or {})},
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode()


def moved(product: Product, text: str) -> str:
    return text.replace("http://127.0.0.1:8080", product.url)


async def test_the_story_by_hand_works_as_it_is_written(product: Product) -> None:
    (story,) = blocks("bash")
    (snippet,) = blocks("python")

    output = await run(product, "bash", "-euo", "pipefail", "-c", moved(product, story) + '\necho "KEY=$KEY"')

    assert "event: message_stop" in output
    assert '"available_credits"' in output
    assert "price_credits" in output
    assert "checkout_url" in output
    key = output.rsplit("KEY=", 1)[1].strip()
    spoken = await run(product, sys.executable, "-W", "error", "-c", moved(product, snippet), env={"KEY": key})
    assert len(spoken) > 10


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)
    assert {"run", "test", "demo"} <= set(named) <= targets


def test_every_file_that_the_readme_links_exists() -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", README)

    assert [path for path in linked if "://" not in path and not (ROOT / path).exists()] == []
