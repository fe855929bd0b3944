"""`python -m notifier endpoints`: customers' endpoints, and what they missed sent again."""

import asyncio
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from kit.database import Database
from kit.settings import load
from notifier.app import create_endpoints
from notifier.domain.endpoints import Endpoint
from notifier.errors import UnknownEndpointError
from notifier.service.endpoints import list_endpoints
from notifier.settings import NotifierSettings

endpoints_cli = typer.Typer(help="Customers' own endpoints and chats.", no_args_is_help=True)


@endpoints_cli.command("list")
def list_command(account: Annotated[UUID, typer.Argument(help="the account's id", metavar="ACCOUNT")]) -> None:
    """List an account's endpoints with what is wrong with them."""
    settings = load(NotifierSettings, service="notifier")
    found = asyncio.run(_list(settings, account))
    for one in found:
        typer.echo(_line(one))
    if not found:
        typer.echo("no endpoints")


@endpoints_cli.command()
def replay(
    endpoint: Annotated[UUID, typer.Argument(help="the endpoint's id", metavar="ENDPOINT")],
    *,
    hours: Annotated[float, typer.Option(min=0, max=24 * 90, help="how far back")] = 24.0,
    every: Annotated[bool, typer.Option("--all", help="also what was taken already")] = False,
) -> None:
    """Send again what an endpoint missed, with the same ids; a running notifier does the sending."""
    settings = load(NotifierSettings, service="notifier")
    try:
        queued = asyncio.run(_replay(settings, endpoint, hours=hours, every=every))
    except UnknownEndpointError as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(1) from None
    typer.echo(f"queued {queued} deliveries")


async def _list(settings: NotifierSettings, account_id: UUID) -> list[Endpoint]:
    database = Database(settings.database_url.get_secret_value(), source="notifier", pool_size=1)
    try:
        async with database.reading() as session:
            return await list_endpoints(session, account_id)
    finally:
        await database.close()


async def _replay(settings: NotifierSettings, endpoint_id: UUID, *, hours: float, every: bool) -> int:
    database = Database(settings.database_url.get_secret_value(), source="notifier", pool_size=1)
    clock = settings.clock()
    try:
        async with database.transaction() as session:
            return await create_endpoints(settings, clock=clock).replay(
                session,
                endpoint_id,
                account_id=None,
                since=clock.now() - timedelta(hours=hours),
                until=None,
                failed_only=not every,
            )
    finally:
        await database.close()


def _line(one: Endpoint) -> str:
    failing = f", failing since {one.failing_since:%Y-%m-%dT%H:%M:%SZ}" if one.failing_since else ""
    reason = f": {one.disabled_reason}" if one.disabled_reason else ""
    return f"{one.id}  {one.channel:8}  {one.state}{failing}{reason}  {one.shown}"
