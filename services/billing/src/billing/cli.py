"""`python -m billing serve|migrate|outbox|dlq|catalogue|webhooks`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

import typer
from fastapi import FastAPI

from billing.adapters.catalogue_file import load_catalogue
from billing.app import create_app
from billing.commands.mixes import fetch_mixes
from billing.commands.pushing import add_commands
from billing.commands.reconciling import add_reconcile
from billing.commands.taxing import tax_cli
from billing.domain.amounts import credit_text, money_text
from billing.domain.offers import Terms
from billing.domain.paths import Path as PaidPath
from billing.errors import CatalogueError
from billing.service import catalogue, inbox, paths
from billing.service.margins import checked
from billing.settings import BillingSettings
from kit.cli import build_cli
from kit.database import Database
from kit.settings import ServiceSettings, load

T = TypeVar("T")
FOLDER = Path(__file__).parents[2] / "migrations"


def _create_app(settings: ServiceSettings) -> FastAPI:
    try:
        return create_app(cast("BillingSettings", settings))
    except CatalogueError as error:
        raise _refusal(error) from None


def _refusal(error: CatalogueError) -> SystemExit:
    sys.stderr.write("".join(f"billing refuses to start: {line}\n" for line in str(error).splitlines()))
    return SystemExit(2)


cli = build_cli(
    "billing",
    settings=BillingSettings,
    create_app=_create_app,
    migrations_folder=FOLDER,
    help_text="Billing: the catalogue, Stripe and payments.",
)
catalogue_cli = typer.Typer(help="What is for sale.", no_args_is_help=True)
webhooks_cli = typer.Typer(help="Stripe's events that were stored.", no_args_is_help=True)
add_commands(catalogue_cli)
add_reconcile(cli)
cli.add_typer(catalogue_cli, name="catalogue")
cli.add_typer(webhooks_cli, name="webhooks")
paths_cli = typer.Typer(help="Which ways of paying are open.", no_args_is_help=True)
cli.add_typer(paths_cli, name="paths")
cli.add_typer(tax_cli, name="tax")


@asynccontextmanager
async def _database(settings: BillingSettings) -> AsyncIterator[Database]:
    database = Database(settings.database_url.get_secret_value(), source="billing", pool_size=1)
    try:
        yield database
    finally:
        await database.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except CatalogueError as error:
        raise _refusal(error) from None


@catalogue_cli.command("show")
def show_catalogue() -> None:
    """Show the offers that hold now."""
    settings = load(BillingSettings, service="billing")
    for terms in _run(_holding(settings)):
        price = f"{money_text(terms.price_minor)} {terms.currency} / {terms.interval}"
        days = f", valid {terms.valid_days} days" if terms.valid_days else ""
        typer.echo(f"{terms.offer_id} v{terms.version}: {price}, {credit_text(terms.grant_nano)} credits{days}")


async def _holding(settings: BillingSettings) -> list[Terms]:
    async with _database(settings) as database, database.reading() as session:
        return await catalogue.list_offers(session, now=settings.clock().now())


@catalogue_cli.command("publish")
def publish_catalogue(
    again: Annotated[bool, typer.Option("--again", help="also state every plan version once more")] = False,
    price_book: Annotated[Path | None, typer.Option(help="the ledger's price book, to check margins against")] = None,
    force: Annotated[bool, typer.Option("--force", help="publish offers that can make a loss")] = False,
) -> None:
    """Publish what changed in the catalogue file; the running service sends it out."""
    settings = load(BillingSettings, service="billing")
    book = price_book or settings.price_book
    if book is None:
        typer.echo("margins are not checked: no price book is named")
    elif _print_margins(settings, settings.catalogue, book) and not force:
        typer.echo("not published: an offer can make a loss (--force publishes it all the same)", err=True)
        raise typer.Exit(1)
    published, repeated = _run(_publish(settings, again=again))
    for terms in published:
        typer.echo(f"{terms.offer_id} v{terms.version}: published")
    typer.echo(f"{len(published)} new versions" + (f", {repeated} plan versions stated again" if again else ""))


@catalogue_cli.command("margins")
def show_margins(
    price_book: Annotated[Path, typer.Option(help="the ledger's price book")],
    path: Annotated[Path | None, typer.Argument(help="a catalogue; the configured one when left out")] = None,
) -> None:
    """Print what each offer earns per model, at worst and typically; exit 1 when one can make a loss."""
    settings = load(BillingSettings, service="billing")
    if _print_margins(settings, path or settings.catalogue, price_book):
        raise typer.Exit(1)


def _print_margins(settings: BillingSettings, path: Path, price_book: Path) -> bool:
    mixes = asyncio.run(fetch_mixes(settings))
    typer.echo(f"typical: as {len(mixes)} models were used in the last 30 days, the others as is usual")
    try:
        found = checked(load_catalogue(path), price_book, at=settings.clock().now(), mixes=mixes)
    except CatalogueError as error:
        typer.echo(f"margins cannot be computed: {error}", err=True)
        raise typer.Exit(2) from None
    for offer in found:
        for one in offer.margins:
            note = " (given)" if offer.is_given else " LOSS" if one.is_loss else ""
            worst, typical = _percent(one.worst_bps), _percent(one.typical_bps)
            typer.echo(f"{offer.offer_id} {one.model}: worst {worst}, typical {typical}{note}")
    return any(offer.is_loss for offer in found)


def _percent(bps: int | None) -> str:
    return "unbounded" if bps is None else f"{bps / 100:.2f} %"


async def _publish(settings: BillingSettings, *, again: bool) -> tuple[list[Terms], int]:
    content = load_catalogue(settings.catalogue)
    async with _database(settings) as database, database.transaction() as session:
        published = await catalogue.publish_catalogue(session, content, now=settings.clock().now())
        return published, await catalogue.publish_again(session) if again else 0


@webhooks_cli.command("list")
def list_webhooks(
    state: Annotated[str, typer.Option(help="pending, applied, ignored or failed")] = "failed",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
) -> None:
    """List stored events, oldest first."""
    settings = load(BillingSettings, service="billing")
    for event in _run(_list_events(settings, state, limit)):
        reason = f": {event.reason}" if event.reason else ""
        typer.echo(
            f"{event.received_at:%Y-%m-%d %H:%M:%S} {event.id} {event.type} {event.object_id} {event.state}{reason}"
        )


async def _list_events(settings: BillingSettings, state: str, limit: int) -> list[inbox.StoredEvent]:
    async with _database(settings) as database, database.reading() as session:
        return await inbox.list_events(session, state, limit=limit)


@webhooks_cli.command("retry")
def retry_webhooks(
    event_ids: Annotated[
        list[str] | None, typer.Argument(help="the events; all failed ones when none is named")
    ] = None,
) -> None:
    """Try failed events again; the running service applies them."""
    settings = load(BillingSettings, service="billing")
    retried = _run(_retry(settings, event_ids or []))
    typer.echo(f"{len(retried)} events are pending again")


async def _retry(settings: BillingSettings, event_ids: list[str]) -> list[str]:
    async with _database(settings) as database, database.transaction() as session:
        return await inbox.retry_failed(session, event_ids, now=settings.clock().now())


@paths_cli.command("list")
def list_paths() -> None:
    """Show every way of paying, then what is set for single accounts."""
    settings = load(BillingSettings, service="billing")
    for flag in _run(_shown_paths(settings)):
        typer.echo(f"{flag.path} {flag.scope}: {flag.state}")


async def _shown_paths(settings: BillingSettings) -> list[paths.Flag]:
    async with _database(settings) as database, database.reading() as session:
        return await paths.Paths(settings.paths, settings.clock()).shown(session, limit=1000)


@paths_cli.command("set")
def set_path(
    path: Annotated[PaidPath, typer.Argument(help="the way of paying")],
    state: Annotated[paths.Wanted, typer.Argument(help="unset leaves it to the wider rule")],
    reason: Annotated[str, typer.Option(help="why; it is kept")],
    account: Annotated[UUID | None, typer.Option(help="only for this account")] = None,
) -> None:
    """Open or close a way of paying; what was begun goes on to its end."""
    settings = load(BillingSettings, service="billing")
    change = paths.Change(path, state, account, actor="command", reason=reason)
    _run(_set_path(settings, change))
    typer.echo(f"{path} {change.scope}: {state}")


async def _set_path(settings: BillingSettings, change: paths.Change) -> None:
    async with _database(settings) as database, database.transaction() as session:
        await paths.Paths(settings.paths, settings.clock()).change(session, change)
