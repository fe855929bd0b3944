"""`python -m ledger simulate`."""

import asyncio
import os
from typing import Annotated, Final

import typer
from sqlalchemy import text

from kit import logging, migrations
from kit.database import Database
from ledger.commands.running import DIFFERS, REFUSED, progress, show_json
from ledger.settings import MIGRATIONS, SHIPPED_BOOK
from ledger.simulation.driving import DifferenceError, Outcome
from ledger.simulation.driving import simulate as drive

VARIABLE: Final = "FAREGATE_SIMULATION_DATABASE_URL"


def simulate(
    *,
    seed: Annotated[int, typer.Option(help="the same seed makes the same year")] = 1,
    accounts: Annotated[int, typer.Option(min=1, max=10_000)] = 10,
    months: Annotated[int, typer.Option(min=1, max=120)] = 12,
    crashes: Annotated[
        bool, typer.Option("--crashes/--no-crashes", help="roll batches back and give them again")
    ] = True,
    database: Annotated[str | None, typer.Option(envvar=VARIABLE, help="an empty database, never the books")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Bill a year twice, by the ledger and by a slow reference; exit 1 and tell the first difference."""
    url = database or os.environ.get(VARIABLE)
    if not url:
        raise typer.BadParameter(f"name an empty database, or set {VARIABLE}", param_hint="--database")
    logging.configure("ledger", "CRITICAL")
    migrations.upgrade(MIGRATIONS, url)
    try:
        outcome = asyncio.run(_simulate(url, seed=seed, accounts=accounts, months=months, crashes=crashes))
    except DifferenceError as difference:
        typer.echo(str(difference), err=True)
        raise typer.Exit(DIFFERS) from None
    totals = {f"{name} ({unit})": str(balance) for (name, unit), balance in sorted(outcome.totals.items()) if balance}
    if as_json:
        figures = ("steps", "calls", "crashes", "accounts", "transfers")
        show_json({"seed": seed, **{name: getattr(outcome, name) for name in figures}, "totals": totals})
        return
    for name, balance in totals.items():
        typer.echo(f"{name}: {balance}")
    typer.echo(
        f"seed {seed}: {outcome.accounts} accounts, {outcome.steps} steps, {outcome.calls} calls, {outcome.crashes} "
        f"crashes, {outcome.transfers} transfers: both ledgers agree"
    )


async def _simulate(url: str, *, seed: int, accounts: int, months: int, crashes: bool) -> Outcome:
    database = Database(url, source="simulation", pool_size=2)
    try:
        async with database.reading() as session:
            if await session.scalar(text("SELECT EXISTS (SELECT FROM account)")):
                typer.echo("the database holds accounts: a simulation runs on an empty one only", err=True)
                raise typer.Exit(REFUSED)
        return await drive(
            database,
            seed=seed,
            accounts=accounts,
            months=months,
            shipped=SHIPPED_BOOK.read_text(),
            crashes=crashes,
            progress=progress("steps"),
        )
    finally:
        await database.close()
