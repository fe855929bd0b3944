"""`python -m notifier deliveries`: what is queued, sent, failed or skipped, and why."""

import asyncio
from typing import Annotated

import typer

from kit.database import Database
from kit.settings import load
from notifier.domain.delivering import Delivery, State
from notifier.service.deliveries import list_deliveries
from notifier.settings import NotifierSettings

deliveries_cli = typer.Typer(help="Deliveries that are queued, sent, failed or skipped.", no_args_is_help=True)


@deliveries_cli.callback()
def _verbs() -> None:
    """A callback keeps `list` a word of its own."""


@deliveries_cli.command("list")
def list_command(
    state: Annotated[State | None, typer.Option(help="only deliveries in this state")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many at most")] = 50,
) -> None:
    """List deliveries with the reason of each failure, newest first."""
    settings = load(NotifierSettings, service="notifier")
    found = asyncio.run(_list(settings.database_url.get_secret_value(), state=state, limit=limit))
    for one in found:
        typer.echo(_line(one))
    if not found:
        typer.echo("no deliveries")


async def _list(database_url: str, *, state: State | None, limit: int) -> list[Delivery]:
    database = Database(database_url, source="notifier", pool_size=1)
    try:
        async with database.reading() as session:
            return await list_deliveries(session, state=state, after=None, limit=limit)
    finally:
        await database.close()


def _line(one: Delivery) -> str:
    whom = str(one.account_id) if one.account_id else one.audience.value
    reason = f": {one.reason}" if one.reason else ""
    return (
        f"{one.created_at:%Y-%m-%dT%H:%M:%SZ}  {one.state.value:7}  {one.channel:7}  {one.kind:22}  {whom}  "
        f"{one.attempts} attempts  {one.id}{reason}"
    )
