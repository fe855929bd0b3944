"""`python -m ledger archive`."""

from typing import Annotated

import typer

from kit.database import Database
from ledger.adapters.archive_files import ArchiveFolder
from ledger.commands.running import instant, run, show_json
from ledger.domain.archiving import Archive
from ledger.service.archiving import Archiving, shown
from ledger.service.sealing import Sealing
from ledger.settings import LedgerSettings


def archive(
    *,
    before: Annotated[str | None, typer.Option(help="a date; the retention's end when left out")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Move usage detail that is older than its days into Parquet files; killed, it goes on next time."""
    limit = None if before is None else instant(before, name="--before")

    async def work(settings: LedgerSettings, database: Database) -> list[Archive]:
        clock = settings.clock()
        archiving = Archiving(
            database=database,
            clock=clock,
            folder=ArchiveFolder(settings.archive_folder),
            seal=Sealing(database, clock).seal_due,
            detail_days=settings.detail_days,
        )
        return await archiving.archive(before=limit)

    done = run(work, as_owner=True)
    if as_json:
        show_json([shown(one) for one in done])
        return
    for one in done:
        typer.echo(f"{one.name}: {one.content.rows} calls, {one.size_bytes} bytes in {one.file}")
    typer.echo(f"{len(done)} parts archived")
