"""`python -m notifier suppressed`: addresses that take no mail."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from kit.database import Database
from kit.settings import load
from notifier.adapters.keys import AddressHashes
from notifier.service.suppression import BounceType, Suppression
from notifier.settings import NotifierSettings

T = TypeVar("T")

suppressed_cli = typer.Typer(help="Addresses that take no mail, kept as keyed hashes.", no_args_is_help=True)
Email = Annotated[str, typer.Argument(help="the address", metavar="EMAIL")]


@suppressed_cli.command()
def add(
    email: Email, cause: Annotated[BounceType, typer.Option(help="hard for 30 days, complaint until lifted")] = "hard"
) -> None:
    """Note a bounce or a complaint by hand."""
    suppressed = _with(lambda session, suppression: suppression.note(session, email, cause))
    typer.echo("suppressed" if suppressed else "noted; a soft bounce suppresses nothing")


@suppressed_cli.command()
def show(email: Email) -> None:
    """Say whether an address takes no mail, and why."""
    cause = _with(lambda session, suppression: suppression.cause(session, email))
    typer.echo(f"takes no mail since a {cause}" if cause else "takes mail")


@suppressed_cli.command()
def lift(email: Email) -> None:
    """Send mails to an address again."""
    if not _with(lambda session, suppression: suppression.lift(session, email)):
        typer.echo("was not suppressed", err=True)
        raise typer.Exit(1)
    typer.echo("lifted")


def _with(work: Callable[[AsyncSession, Suppression], Awaitable[T]]) -> T:
    settings = load(NotifierSettings, service="notifier")

    async def run() -> T:
        database = Database(settings.database_url.get_secret_value(), source="notifier", pool_size=1)
        suppression = Suppression(clock=settings.clock(), hashes=AddressHashes(settings.secret()))
        try:
            async with database.transaction() as session:
                return await work(session, suppression)
        finally:
            await database.close()

    return asyncio.run(run())
