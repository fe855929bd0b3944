"""`python -m billing reconcile` and `overage`: overage held against Stripe, to the cent."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from billing.adapters.stripe_api import StripeApi
from billing.domain.overage import UNIT_NANO
from billing.service import overage
from billing.service.reconciling import Reconciled, Reconciler
from billing.settings import BillingSettings
from kit.database import Database
from kit.settings import load

MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def add_reconcile(cli: typer.Typer) -> None:
    cli.command("reconcile")(reconcile)
    overage_cli = typer.Typer(help="Overage on its way to Stripe's meter.", no_args_is_help=True)
    overage_cli.command("list")(list_overage)
    overage_cli.command("retry")(retry_overage)
    cli.add_typer(overage_cli, name="overage")


def list_overage(
    state: Annotated[str, typer.Option(help="pending, sent, accepted, rejected or expired")] = "rejected",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
) -> None:
    """Show rows with the reason of each."""
    for identifier, units, reason in asyncio.run(_listed(state, limit)):
        typer.echo(f"{identifier}  {units}  {reason or ''}")


async def _listed(state: str, limit: int) -> list[tuple[str, int, str | None]]:
    settings = load(BillingSettings, service="billing")
    async with _opened(settings) as database, database.reading() as session:
        return await overage.list_rows(session, state, limit=limit)


def retry_overage() -> None:
    """Report rejected rows anew, each under its next identifier; the running service sends them."""
    typer.echo(f"{asyncio.run(_retried())} rows are pending again")


async def _retried() -> int:
    settings = load(BillingSettings, service="billing")
    async with _opened(settings) as database, database.transaction() as session:
        return await overage.retry_rejected(session, now=settings.clock().now())


@asynccontextmanager
async def _opened(settings: BillingSettings) -> AsyncIterator[Database]:
    database = Database(settings.database_url.get_secret_value(), source="billing", pool_size=1)
    try:
        yield database
    finally:
        await database.close()


def reconcile(
    period: Annotated[str, typer.Option(help="the month in which the invoices were made, as 2026-11")],
    *,
    repair: Annotated[bool, typer.Option(help="also repair what differs in periods that are still open")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document instead of a table")] = False,
) -> None:
    """Show per customer: ledger = reported = counted = invoiced = paid; exits with 1 where they differ."""
    start, end = _month(period)
    found, repaired = asyncio.run(_reconcile(start, end, repair=repair))
    if as_json:
        typer.echo(json.dumps({"customers": [_shown(one) for one in found], "repaired": repaired}, indent=2))
    else:
        _print(found, repaired)
    if any(one.problems for one in found):
        raise typer.Exit(1)


def _month(period: str) -> tuple[datetime, datetime]:
    match = MONTH.fullmatch(period)
    if match is None:
        raise typer.BadParameter("--period: must be a month such as 2026-11")
    year, month = int(match[1]), int(match[2])
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    return datetime(year, month, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC)


async def _reconcile(start: datetime, end: datetime, *, repair: bool) -> tuple[list[Reconciled], list[str]]:
    settings = load(BillingSettings, service="billing")
    async with _reconciler(settings) as reconciler:
        found = await reconciler.reconcile(start=start, end=end)
        wrong = [one.books.account_id for one in found if one.problems] if repair else []
        repaired = [f"{account_id}: {done}" for account_id in wrong for done in await reconciler.repair(account_id)]
        return found, repaired


@asynccontextmanager
async def _reconciler(settings: BillingSettings) -> AsyncIterator[Reconciler]:
    stripe = StripeApi(settings.stripe_secret_key.get_secret_value(), api_url=settings.stripe_api_url)
    closing = asyncio.create_task(stripe.hold_open())
    try:
        async with _opened(settings) as database:
            yield Reconciler(database, stripe.meters, clock=settings.clock())
    finally:
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)


def _shown(one: Reconciled) -> dict[str, Any]:
    books = one.books
    return {
        "account_id": str(books.account_id),
        "ledger_nano": str(books.ledger_nano),
        "carry_nano": str(books.carry_nano),
        "units": books.units,
        "invoices": [
            {
                "invoice": line.invoice_id,
                "status": line.status,
                "period_start": line.period_start.isoformat(),
                "period_end": line.period_end.isoformat(),
                "reported_nano": str(line.reported_units * UNIT_NANO),
                "counted_nano": str(line.counted_units * UNIT_NANO),
                "invoiced_minor": line.invoiced_minor,
                "paid_minor": line.paid_minor,
            }
            for line in one.billed
        ],
        "problems": list(one.problems),
    }


def _print(found: list[Reconciled], repaired: list[str]) -> None:
    typer.echo("account                               invoice                       reported    invoiced        paid")
    for one in found:
        for line in one.billed:
            amounts = (line.reported_units / 1e6, line.invoiced_minor / 100, line.paid_minor / 100)
            shown = "".join(f"{amount:12.4f}" for amount in amounts)
            typer.echo(f"{one.books.account_id}  {line.invoice_id:28}{shown}")
        for problem in one.problems:
            typer.echo(f"{one.books.account_id}  ! {problem}")
    for done in repaired:
        typer.echo(f"repaired  {done}")
    wrong = sum(bool(one.problems) for one in found)
    typer.echo(f"{len(found)} customers with overage, {wrong} with differences")
