"""`python -m billing tax show|on|off|follow`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

import typer

from billing.adapters.stripe_api import StripeApi
from billing.service.taxes import Switched, Taxes
from billing.settings import BillingSettings
from kit.database import Database
from kit.errors import DomainError
from kit.settings import load

T = TypeVar("T")
Reason = Annotated[str, typer.Option(help="why; it is kept")]

tax_cli = typer.Typer(help="Taxes that Stripe computes; off until a registration exists.", no_args_is_help=True)


@asynccontextmanager
async def _taxes() -> AsyncIterator[Taxes]:
    settings = load(BillingSettings, service="billing")
    database = Database(settings.database_url.get_secret_value(), source="billing", pool_size=1)
    stripe = StripeApi(settings.stripe_secret_key.get_secret_value(), api_url=settings.stripe_api_url)
    try:
        yield Taxes(database, stripe.taxes, settings.clock())
    finally:
        await stripe.close()
        await database.close()


@tax_cli.command("show")
def show() -> None:
    """Say whether taxes are on and what Stripe has; exit 1 when they are on and Stripe collects nothing."""
    found = _run(lambda taxes: taxes.show())
    _print(found)
    if found.collects_nothing:
        raise typer.Exit(1)


@tax_cli.command("on")
def turn_on(reason: Reason) -> None:
    """Compute taxes for what begins from now on; refused while Stripe would collect nothing."""
    _print(_run(lambda taxes: taxes.turn(is_on=True, actor="command", reason=reason)))


@tax_cli.command("off")
def turn_off(reason: Reason) -> None:
    """Compute none for what begins from now on; running subscriptions keep theirs until `follow`."""
    _print(_run(lambda taxes: taxes.turn(is_on=False, actor="command", reason=reason)))


@tax_cli.command("follow")
def follow(
    apply: Annotated[bool, typer.Option("--apply", help="do it, from each one's next invoice on")] = False,
) -> None:
    """Show the running subscriptions that began while the switch stood otherwise; nothing changes without --apply."""
    found = _run(lambda taxes: taxes.follow(apply=apply))
    for one in found:
        typer.echo(f"{one.account_id} {one.subscription_id}: {one.change}")
    left = sum(one.change == "no address" for one in found)
    typer.echo(f"{len(found) - left} subscriptions {'follow' if apply else 'would follow'}, {left} have no address")


def _print(found: Switched) -> None:
    countries = ", ".join(found.standing.countries) or "none"
    typer.echo(f"automatic taxes: {'on' if found.is_on else 'off'}")
    typer.echo(f"active registrations: {countries}")
    for problem in found.standing.problems:
        typer.echo(f"{'COLLECTS NOTHING' if found.is_on else 'in the way'}: {problem}")


def _run(work: Callable[[Taxes], Awaitable[T]]) -> T:
    async def whole() -> T:
        async with _taxes() as taxes:
            return await work(taxes)

    try:
        return asyncio.run(whole())
    except DomainError as error:
        typer.echo(f"tax: {error.detail}", err=True)
        raise typer.Exit(2) from None
