"""`python -m notifier serve|migrate|dlq|deliveries|send-test`."""

import asyncio
from pathlib import Path
from typing import Annotated, Final, cast
from uuid import UUID

import typer
from fastapi import FastAPI

from kit.cli import build_cli
from kit.database import Database
from kit.ids import uuid7
from kit.settings import ServiceSettings, load
from notifier.adapters.directory import Recipient
from notifier.app import create_app, create_sender
from notifier.domain import Delivery, State
from notifier.errors import DeliveryError, NothingToSendError
from notifier.service.deliveries import list_deliveries
from notifier.settings import NotifierSettings

MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"


def _create_app(settings: ServiceSettings) -> FastAPI:
    return create_app(cast("NotifierSettings", settings))


app = build_cli(
    "notifier",
    settings=NotifierSettings,
    create_app=_create_app,
    migrations_folder=MIGRATIONS,
    help_text="Mails and feeds.",
)
deliveries_cli = typer.Typer(help="Mails that are queued, sent, failed or skipped.", no_args_is_help=True)
app.add_typer(deliveries_cli, name="deliveries")


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


@app.command("send-test")
def send_test(email: Annotated[str, typer.Argument(help="where the test mail goes", metavar="EMAIL")]) -> None:
    """Really send one mail; exit 1 with the reason when it is not taken."""
    settings = load(NotifierSettings, service="notifier")
    sender = create_sender(settings, people=_Nobody(), clock=settings.clock())
    try:
        asyncio.run(sender.send_test(email, delivery_id=uuid7(settings.clock())))
    except DeliveryError as error:
        typer.echo(f"not sent: {error.reason}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"handed over to {settings.smtp_host}:{settings.smtp_port}")


class _Nobody:
    """The test mail asks auth for nobody."""

    async def owners(self, account_id: UUID) -> list[Recipient]:
        return []

    async def message(self, message_id: UUID) -> Recipient:
        raise NothingToSendError("the test mail is no message of auth's")


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
        f"{one.created_at:%Y-%m-%dT%H:%M:%SZ}  {one.state.value:7}  {one.kind:22}  {whom}  "
        f"{one.attempts} attempts  {one.id}{reason}"
    )
