"""`python -m billing catalogue diff|push|migrate`."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import typer

from billing.adapters.catalogue_file import load_catalogue
from billing.adapters.stripe_api import StripeApi
from billing.domain.amounts import credit_text, money_text
from billing.domain.offers import Purchase
from billing.errors import CatalogueError
from billing.service.margins import checked, refuse_losses
from billing.service.pushing import Move, Pusher, Step
from billing.settings import BillingSettings
from kit.database import Database
from kit.errors import DomainError
from kit.settings import load

T = TypeVar("T")


def add_commands(app: typer.Typer) -> None:
    """Add them to `catalogue`."""
    app.command("diff")(diff)
    app.command("push")(push)
    app.command("migrate")(migrate)


@asynccontextmanager
async def _pusher(settings: BillingSettings) -> AsyncIterator[Pusher]:
    database = Database(settings.database_url.get_secret_value(), source="billing", pool_size=1)
    stripe = StripeApi(settings.stripe_secret_key.get_secret_value(), api_url=settings.stripe_api_url)
    try:
        yield Pusher(database, stripe, clock=settings.clock())
    finally:
        await stripe.close()
        await database.close()


def diff() -> None:
    """Show what `push` would publish and change in Stripe."""
    _show(_run(_diff(load(BillingSettings, service="billing"))), done=False)


async def _diff(settings: BillingSettings) -> list[Step]:
    async with _pusher(settings) as pusher:
        return await pusher.diff(load_catalogue(settings.catalogue))


def push(
    force: Annotated[bool, typer.Option("--force", help="also offers that can make a loss")] = False,
) -> None:
    """Publish the catalogue and bring Stripe to it; what is done already is not done again."""
    _show(_run(_push(load(BillingSettings, service="billing"), force=force)), done=True)


async def _push(settings: BillingSettings, *, force: bool) -> list[Step]:
    content = load_catalogue(settings.catalogue)
    if settings.price_book is None:
        typer.echo("margins are not checked: no price book is named")
    elif not force:
        refuse_losses(checked(content, settings.price_book, at=settings.clock().now()))
    async with _pusher(settings) as pusher:
        return await pusher.push(content)


def migrate(
    offer: Annotated[str, typer.Argument(help="a plan; its subscribers come to its newest version")],
    apply: Annotated[bool, typer.Option("--apply", help="do it, from each subscription's next period on")] = False,
) -> None:
    """Show who would pay what; nobody is moved without --apply."""
    settings = load(BillingSettings, service="billing")
    moves = _run(_migrate(settings, offer, apply=apply))
    for one in moves:
        typer.echo(f"{one.account_id} {one.subscription_id}: {_paid(one.old)} -> {_paid(one.new)} at {one.at:%Y-%m-%d}")
    typer.echo(f"{len(moves)} subscriptions {'move when their periods end' if apply else 'would move'}")


async def _migrate(settings: BillingSettings, offer: str, *, apply: bool) -> list[Move]:
    async with _pusher(settings) as pusher:
        moves = await pusher.moves(offer)
        for one in moves if apply else ():
            await pusher.move(one)
        return moves


def _paid(bought: Purchase) -> str:
    given = bought.grant_amount
    unit = bought.terms.grant_unit.value
    amount = credit_text(given) if unit == "credit" else str(given)
    return f"v{bought.terms.version} {money_text(bought.price_minor)} {bought.currency}, {amount} {unit}s"


def _show(steps: list[Step], *, done: bool) -> None:
    for step in steps:
        typer.echo(f"{step.action}: {step.name}" + (f" ({step.detail})" if step.detail else ""))
    changes = [step for step in steps if step.action != "keep price"]
    typer.echo(f"{len(changes)} changes" + (" made" if done else ""))


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (CatalogueError, DomainError) as error:
        typer.echo(f"catalogue: {error}", err=True)
        raise typer.Exit(2) from None
