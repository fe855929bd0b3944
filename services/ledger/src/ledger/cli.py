"""`python -m ledger serve|migrate|dlq|price-book|verify|partitions`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from kit import logging
from kit.cli import build_cli
from kit.database import Database
from kit.errors import DomainError
from kit.settings import load
from ledger.app import create_app
from ledger.domain.conservation import Books
from ledger.service.catalogue import list_books, publish_book, publish_first_book
from ledger.service.checking import check_books
from ledger.service.housekeeping import make_partitions
from ledger.settings import LedgerSettings
from rating import PriceBookError

T = TypeVar("T")

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
def verify() -> None:
    """Check that the books agree with themselves; exit 1 and name each difference when they do not."""
    found: Books = _in_transaction(check_books)
    for difference in found.differences:
        typer.echo(difference, err=True)
    for unit, total in found.sums.items():
        typer.echo(f"{unit}: all ledger accounts sum to {total}")
    typer.echo(f"{found.accounts} accounts checked, {'balanced' if found.balanced else 'NOT balanced'}")
    if not found.balanced:
        raise typer.Exit(1)


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
    settings = load(LedgerSettings, service="ledger")
    logging.configure("ledger", settings.log_level)

    async def run() -> T:
        database = Database(settings.database_url.get_secret_value(), source="ledger", pool_size=1)
        try:
            async with database.transaction() as session:
                return await work(session)
        finally:
            await database.close()

    return asyncio.run(run())
