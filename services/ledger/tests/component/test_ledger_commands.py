"""`python -m ledger …`: what an operator does from a shell."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kit.testing_commands import Called, called
from ledger.cli import cli
from ledger.settings import SHIPPED_BOOK


async def run(prepared: Any, *arguments: str) -> Called:
    return await called(cli, *arguments, env=prepared.environment(8082))


async def test_prices_are_published_and_listed(prepared: Any, tmp_path: Path) -> None:
    assert "version 1 is published" in (await run(prepared, "price-book", "publish")).stdout
    again = await run(prepared, "price-book", "publish")
    assert (again.returncode, "already" in again.stderr) == (1, True)

    changed = tmp_path / "book.toml"
    changed.write_text(SHIPPED_BOOK.read_text().replace('markup_percent = "15"', 'markup_percent = "16"'))
    at = (datetime.now(UTC) + timedelta(minutes=6)).isoformat()
    published = await run(prepared, "price-book", "publish", str(changed), "--effective-at", at)
    assert published.stdout.startswith("version 2 is published")
    broken = tmp_path / "broken.toml"
    broken.write_text("currency = 3")
    refused = await run(prepared, "price-book", "publish", str(broken))
    assert (refused.returncode, "currency" in refused.stderr) == (1, True)

    listed = await run(prepared, "price-book", "list")
    assert [line.split(":")[0] for line in listed.stdout.splitlines()] == ["version 1", "version 2"]


async def test_verify_names_a_difference_and_fails(prepared: Any) -> None:
    assert (await run(prepared, "verify")).returncode == 0
    await prepared.connection.execute(
        """INSERT INTO account (id, state, debt_nano, created_at)
           VALUES ('0199f3a0-0000-7000-8000-00000000000a', 'open', 5, now())"""
    )

    found = await run(prepared, "verify")

    assert found.returncode == 1
    assert "account 0199f3a0-0000-7000-8000-00000000000a owes 5, its transfers say 0" in found.stderr


async def test_partitions_are_made_ahead(prepared: Any) -> None:
    first = await run(prepared, "partitions", "ensure", "--months-ahead", "30")
    second = await run(prepared, "partitions", "ensure", "--months-ahead", "30")

    assert int(first.stdout.split()[0]) > 0
    assert second.stdout == "0 partitions made\n"


@pytest.mark.parametrize("missing", ["FAREGATE_LEDGER_DATABASE_URL", "FAREGATE_KAFKA_BOOTSTRAP"])
async def test_a_ledger_without_what_it_needs_refuses_and_names_it(prepared: Any, missing: str) -> None:
    env = {name: value for name, value in prepared.environment(8082).items() if name != missing}

    refused = await called(cli, "serve", env=env)

    assert refused.returncode == 2
    assert f"{missing}: is not set" in refused.stderr
