"""`python -m ledger serve|migrate|outbox|dlq|price-book|account|rerate|reconcile|archive|simulate|verify|…`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, TypeVar
from uuid import UUID

import orjson
import typer
from sqlalchemy.ext.asyncio import AsyncSession

from kit import logging
from kit.cli import build_cli
from kit.database import Database
from kit.errors import DomainError
from kit.settings import load
from ledger.app import create_app
from ledger.commands import accounts, archive, reconcile, rerate, simulate
from ledger.domain.verification import Report
from ledger.service.catalogue import list_books, publish_book, publish_first_book
from ledger.service.chaining import chain_older
from ledger.service.housekeeping import make_partitions
from ledger.service.verifying import Verifying
from ledger.settings import LedgerSettings
from rating import PriceBookError

T = TypeVar("T")

COMMAND_TIMEOUT_S: Final = 3600.0
"""What one statement of a command may take: verification reads whole accounts."""

MIGRATIONS = Path(__file__).parents[2] / "migrations"

cli = build_cli(
    "ledger",
    settings=LedgerSettings,
    create_app=create_app,
    migrations_folder=MIGRATIONS,
    help_text="The books: grants, charges, prices, balances.",
)
price_book = typer.Typer(help="The price book, which the ledger owns.", no_args_is_help=True)
partitions = typer.Typer(help="Monthly partitions of charges and usage.", no_args_is_help=True)
cli.add_typer(price_book, name="price-book")
cli.add_typer(partitions, name="partitions")
cli.add_typer(accounts.cli, name="account")
for command in (rerate.rerate, reconcile.reconcile, archive.archive, simulate.simulate):
    cli.command()(command)


@price_book.command("list")
def list_versions() -> None:
    """List the published versions."""
    rows = _in_transaction(list_books)
    for row in rows:
        typer.echo(f"version {row.version}: effective {row.effective_at:%Y-%m-%dT%H:%M:%SZ}")
    if not rows:
        typer.echo("none is published")


@price_book.command()
def publish(
    path: Annotated[Path | None, typer.Argument(help="the TOML source; the configured one when left out")] = None,
    effective_at: Annotated[str | None, typer.Option(help="RFC 3339, at least five minutes ahead")] = None,
) -> None:
    """Publish a source as the next version; the first needs no lead."""
    settings = load(LedgerSettings, service="ledger")
    text, now, at = (path or settings.price_book).read_text(), settings.clock().now(), _instant(effective_at)

    async def work(session: AsyncSession) -> str:
        if at is None and await publish_first_book(session, text, now=now):
            return "version 1 is published"
        book = await publish_book(session, text, now=now, effective_at=at)
        return f"version {book.version} is published, effective {book.effective_at.isoformat()}"

    try:
        typer.echo(_in_transaction(work))
    except (DomainError, PriceBookError) as error:
        typer.echo(f"not published: {error}", err=True)
        raise typer.Exit(1) from None


@partitions.command()
def ensure(months_ahead: Annotated[int, typer.Option(min=1, max=120)] = 3) -> None:
    """Make what is missing from last month on."""
    now = load(LedgerSettings, service="ledger").clock().now()
    made = _in_transaction(lambda session: make_partitions(session, now=now, months_ahead=months_ahead))
    typer.echo(f"{made} partitions made")


@cli.command()
def verify(
    account: Annotated[UUID | None, typer.Option(help="one account instead of all")] = None,
    every: Annotated[bool, typer.Option("--all", help="all accounts, which is the default")] = False,  # a flag
    as_json: Annotated[bool, typer.Option("--json", help="the report for a machine")] = False,  # a flag
    connections: Annotated[int, typer.Option(min=1, max=16)] = 2,
) -> None:
    """Check that the books agree with themselves; exit 1 and name each row that does not."""
    if account is not None and every:
        raise typer.BadParameter("one account or all", param_hint="--all")

    def progress(done: int, total: int, report: Report) -> None:
        typer.echo(f"{done}/{total} parts, {report.charges} charges, {sum(report.found.values())} found", err=True)

    async def work(database: Database) -> Report:
        verifying = Verifying(database, connections=connections)
        return await (verifying.verify_account(account) if account else verifying.verify_all(progress))

    report = _on_database(work, connections=connections)
    if as_json:
        typer.echo(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2).decode())
    else:
        _tell(report)
    if not report.is_sound:
        raise typer.Exit(1)


def _tell(report: Report) -> None:
    for finding in report.findings:
        typer.echo(str(finding), err=True)
    for unit, total in report.sums.items():
        typer.echo(f"{unit}: all ledger accounts sum to {total}")
    for check, number in report.found.items():
        typer.echo(f"{check}: {number} found")
    looked_at = f"{report.accounts} accounts, {report.charges} charges, {report.transfers} transfers checked"
    typer.echo(f"{looked_at}, {'balanced' if report.is_sound else 'NOT balanced'}")


@cli.command()
def chain() -> None:
    """Give transfers from before the chain their hashes; may be broken off and run again."""
    chained = _on_database(chain_older, connections=1)
    typer.echo(f"{chained} accounts chained")


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an RFC 3339 time", param_hint="--effective-at") from None
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{text!r} names no time zone", param_hint="--effective-at")
    return instant.astimezone(UTC)


def _in_transaction(work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    async def run(database: Database) -> T:
        async with database.transaction() as session:
            return await work(session)

    return _on_database(run, connections=1)


def _on_database(work: Callable[[Database], Awaitable[T]], *, connections: int) -> T:
    settings = load(LedgerSettings, service="ledger")
    logging.configure("ledger", settings.log_level)

    async def run() -> T:
        url = settings.database_url.get_secret_value()
        database = Database(url, source="ledger", pool_size=connections, command_timeout_s=COMMAND_TIMEOUT_S)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())
