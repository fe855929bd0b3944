"""`python -m notifier serve|migrate|outbox|dlq|deliveries|endpoints|suppressed|send-test|preview`."""

from pathlib import Path
from typing import Final, cast

from fastapi import FastAPI

from kit.cli import build_cli
from kit.settings import ServiceSettings
from notifier.app import create_app
from notifier.commands.deliveries import deliveries_cli
from notifier.commands.endpoints import endpoints_cli
from notifier.commands.mails import preview, send_test
from notifier.commands.suppressed import suppressed_cli
from notifier.settings import NotifierSettings

MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"


def _create_app(settings: ServiceSettings) -> FastAPI:
    return create_app(cast("NotifierSettings", settings))


app = build_cli(
    "notifier",
    settings=NotifierSettings,
    create_app=_create_app,
    migrations_folder=MIGRATIONS,
    help_text="Mails, chats, endpoints and feeds.",
)
app.add_typer(deliveries_cli, name="deliveries")
app.add_typer(endpoints_cli, name="endpoints")
app.add_typer(suppressed_cli, name="suppressed")
app.command("send-test")(send_test)
app.command()(preview)
