"""`python -m ledger rerate`."""

from typing import Annotated, Any
from uuid import UUID

import typer

from kit.database import Database
from ledger.commands.running import instant, progress, run, show_json
from ledger.repository.rerating import Span
from ledger.schemas.amounts import credits_of
from ledger.service.catalogue import Catalogue
from ledger.service.rerating import Rerated, Rerating
from ledger.settings import LedgerSettings

SHOWN = 50


def rerate(
    *,
    start: Annotated[str, typer.Option("--from", help="calls admitted at or after; RFC 3339 or a date")],
    end: Annotated[str, typer.Option("--to", help="calls admitted before")],
    price_book: Annotated[int, typer.Option(help="the version to rate by")],
    account: Annotated[UUID | None, typer.Option(help="one account only")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would move, and move nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Rate booked calls by another price book, and book the difference; again moves nothing."""
    span = Span(instant(start, name="--from"), instant(end, name="--to"), account)
    if span.end <= span.start:
        raise typer.BadParameter("the end is not after the start", param_hint="--to")

    async def work(settings: LedgerSettings, database: Database) -> Rerated:
        rerating = Rerating(database, Catalogue(), settings.clock())
        rate = rerating.preview if dry_run else rerating.book
        return await rate(span, version=price_book, progress=progress("charges"))

    found = run(work)
    if as_json:
        show_json(_shown(found, dry_run=dry_run))
        return
    for account_id, one in sorted(found.accounts.items(), key=lambda item: -abs(item[1].price_nano))[:SHOWN]:
        typer.echo(f"{account_id}  {one.corrected:>8} calls  {credits_of(one.price_nano):>16} credits")
    total = found.total
    if len(found.accounts) > SHOWN:
        typer.echo(f"and {len(found.accounts) - SHOWN} accounts more; --json names all")
    for reason, number in found.unrated.items():
        typer.echo(f"{number} calls stay as they are: {reason}", err=True)
    verb = "would move" if dry_run else "moved"
    resumed = " (went on from where an earlier run was cut off)" if found.resumed else ""
    typer.echo(
        f"{found.charges} charges looked at{resumed}: {total.corrected} {verb} {credits_of(total.price_nano)} credits; "
        f"cost {credits_of(total.cost_nano)}"
    )


def _shown(found: Rerated, *, dry_run: bool) -> dict[str, Any]:
    total = found.total
    return {
        "dry_run": dry_run,
        "resumed": found.resumed,
        "charges": found.charges,
        "corrected": total.corrected,
        "price_nano": str(total.price_nano),
        "cost_nano": str(total.cost_nano),
        "unrated": dict(found.unrated),
        "accounts": {
            str(account_id): {
                "corrected": one.corrected,
                "price_nano": str(one.price_nano),
                "cost_nano": str(one.cost_nano),
            }
            for account_id, one in found.accounts.items()
        },
    }
