"""How a command gets its settings and its database, and how it ends."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import orjson
import typer

from kit import logging
from kit.database import Database
from kit.errors import DomainError
from kit.garbage import collect_seldom
from kit.settings import load
from ledger.settings import LedgerSettings

T = TypeVar("T")

PATIENCE_S: Final = 4 * 3600.0
"""What one statement of a command may take: a whole month is read."""
DIFFERS: Final = 1
REFUSED: Final = 2


def run(work: Callable[[LedgerSettings, Database], Awaitable[T]], *, as_owner: bool = False) -> T:
    """Run with a small pool; what the domain refuses ends the command with its code and words.

    `as_owner`: the work drops tables, which the service's own role may not.
    """
    settings = load(LedgerSettings, service="ledger")
    logging.configure("ledger", settings.log_level)

    async def whole() -> T:
        collect_seldom()
        url = settings.owners_url if as_owner else settings.database_url.get_secret_value()
        database = Database(url, source="ledger", pool_size=4, command_timeout_s=PATIENCE_S)
        try:
            return await work(settings, database)
        finally:
            await database.close()

    try:
        return asyncio.run(whole())
    except DomainError as error:
        typer.echo(f"{error.code}: {error.detail}", err=True)
        raise typer.Exit(REFUSED) from None


def instant(text: str, *, name: str) -> datetime:
    """RFC 3339; a day alone is its first instant in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an RFC 3339 time or a date", param_hint=name) from None
    if found.tzinfo is None:
        if len(text) > len("2026-11-21"):
            raise typer.BadParameter(f"{text!r} names no time zone", param_hint=name)
        found = found.replace(tzinfo=UTC)
    return found.astimezone(UTC)


def show_json(value: Any) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z, default=str).decode())


def progress(what: str) -> Callable[[int], None] | None:
    """A line that counts up, where somebody is looking."""
    if not sys.stderr.isatty():
        return None

    def tell(number: int) -> None:
        sys.stderr.write(f"\r{number:,} {what}")

    return tell
