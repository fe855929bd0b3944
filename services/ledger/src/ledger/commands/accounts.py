"""`python -m ledger account freeze|thaw|holds`."""

from typing import Annotated
from uuid import UUID

import typer

from kit.database import Database
from ledger.commands.running import run
from ledger.repository.holds import list_holds
from ledger.service.catalogue import Catalogue
from ledger.service.freezing import Freezing
from ledger.settings import LedgerSettings

cli = typer.Typer(help="Accounts, as operators hold them.", no_args_is_help=True)

AccountArgument = Annotated[UUID, typer.Argument(help="the account")]
ReasonOption = Annotated[str, typer.Option(help="why, for the record")]
ActorOption = Annotated[str, typer.Option(help="who, for the record: a name or an id")]


@cli.command()
def freeze(account_id: AccountArgument, reason: ReasonOption, actor: ActorOption) -> None:
    """Refuse all further calls of an account."""
    _set(account_id, frozen=True, reason=reason, actor=actor)


@cli.command()
def thaw(account_id: AccountArgument, reason: ReasonOption, actor: ActorOption) -> None:
    """Let an account go on that an operator froze."""
    _set(account_id, frozen=False, reason=reason, actor=actor)


@cli.command()
def holds(account_id: AccountArgument) -> None:
    """Who froze and thawed an account, and why."""

    async def work(_: LedgerSettings, database: Database) -> None:
        async with database.reading() as session:
            for one in await list_holds(session, account_id):
                typer.echo(f"{one.created_at.isoformat()} {one.action} by {one.actor}: {one.reason}")

    run(work)


def _set(account_id: UUID, *, frozen: bool, reason: str, actor: str) -> None:
    async def work(settings: LedgerSettings, database: Database) -> int:
        async with database.transaction() as session:
            freezing = Freezing(Catalogue(), settings.clock())
            return await freezing.set_frozen(session, account_id, frozen=frozen, reason=reason, actor=actor)

    version = run(work)
    typer.echo(f"account {account_id} is {'frozen' if frozen else 'thawed'}; its snapshot {version} says so")
