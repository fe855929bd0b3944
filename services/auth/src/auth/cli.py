"""`python -m auth serve|migrate|outbox|dlq|operator|keys`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters import addresses
from auth.adapters.passwords import Passwords
from auth.adapters.sealing import Sealer
from auth.app import create_app
from auth.domain.access import signing_key
from auth.domain.passwords import LONGEST, SHORTEST
from auth.errors import UnknownUserError, WeakPasswordError
from auth.service import keys, people, registering
from auth.settings import AuthSettings
from kit.cli import build_cli
from kit.clock import Clock
from kit.database import Database
from kit.errors import DomainError
from kit.settings import load

T = TypeVar("T")
Work = Callable[[AsyncSession, Clock], Awaitable[T]]

MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"

cli = build_cli(
    "auth",
    settings=AuthSettings,
    create_app=create_app,  # type: ignore[arg-type]  # it is given what `settings` loads
    migrations_folder=MIGRATIONS,
    help_text="Users, accounts, keys and sessions.",
)
operators = typer.Typer(help="Who runs this installation.", no_args_is_help=True)
signing_keys = typer.Typer(help="Keys that sign tokens.", no_args_is_help=True)
cli.add_typer(operators, name="operator")
cli.add_typer(signing_keys, name="keys")

Email = Annotated[str, typer.Argument(help="the user's address")]


@operators.command("add")
def add_operator(
    email: Email,
    password_stdin: Annotated[bool, typer.Option(help="read a new user's password from standard input")] = False,
) -> None:
    """Make a user an operator. One who does not exist is made, with a password that is printed once."""
    settings = load(AuthSettings, service="auth")
    password = sys.stdin.readline().rstrip("\n") if password_stdin else registering.one_time_password()

    async def add(session: AsyncSession, clock: Clock) -> tuple[bool, bool]:
        address, normal = _parsed(settings, email)
        user = await people.find_user(session, normal)
        if user is not None:
            return False, await people.set_operator(session, user.id, operator=True, clock=clock)
        _check(password, address=normal)
        new = registering.NewUser(
            address=address,
            address_normal=normal,
            password_hash=await Passwords().hash(password),
            verified=True,
            operator=True,
        )
        await registering.create_user(session, new, activation=settings.activation, clock=clock)
        return True, True

    created, changed = _run(settings, add)
    typer.echo(f"{email} is an operator" + ("" if changed else " already"))
    if created and not password_stdin:
        typer.echo(f"password: {password}")


@operators.command("remove")
def remove_operator(email: Email) -> None:
    """Take the operator role away; the user stays."""
    settings = load(AuthSettings, service="auth")

    async def remove(session: AsyncSession, clock: Clock) -> bool:
        user = await people.find_user(session, _parsed(settings, email)[1])
        if user is None:
            raise UnknownUserError("There is no user with this address.")
        return await people.set_operator(session, user.id, operator=False, clock=clock)

    changed = _run(settings, remove)
    typer.echo(f"{email} is no operator" + (" any more" if changed else ""))


@operators.command("list")
def list_operators() -> None:
    """List the operators."""

    async def listed(session: AsyncSession, _clock: Clock) -> list[str]:
        return [f"{user.id} {user.address}" for user in await people.list_operators(session)]

    for line in _run(load(AuthSettings, service="auth"), listed):
        typer.echo(line)


@signing_keys.command("rotate")
def rotate_keys() -> None:
    """Publish a new signing key now; it signs once every verifier has had time to fetch it."""
    settings = load(AuthSettings, service="auth")

    async def rotate(session: AsyncSession, clock: Clock) -> str:
        key = await keys.rotate_key(session, Sealer(settings.encryption_key), now=clock.now())
        return f"{key.id} signs from {key.signs_from.isoformat(timespec='seconds')}"

    typer.echo(_run(settings, rotate))


@signing_keys.command("list")
def list_signing_keys() -> None:
    """List the signing keys that are published."""

    async def listed(session: AsyncSession, clock: Clock) -> list[str]:
        now = clock.now()
        known = await keys.list_keys(session, now=now)
        signs = signing_key(tuple(known), now=now)
        return [
            f"{key.id} {'signing' if key == signs else key.stage(now)} "
            f"from {key.signs_from.isoformat(timespec='seconds')}"
            for key in known
        ]

    for line in _run(load(AuthSettings, service="auth"), listed):
        typer.echo(line)


def _parsed(settings: AuthSettings, email: str) -> tuple[str, str]:
    return addresses.parse(email, reserved_names=settings.environment == "sandbox")


def _check(password: str, *, address: str) -> None:
    if not SHORTEST <= len(password) <= LONGEST:
        raise WeakPasswordError(f"A password has {SHORTEST} to {LONGEST} characters.")
    registering.check_password(password, address=address)


def _run(settings: AuthSettings, work: Work[T]) -> T:
    """Run a use case in a transaction of its own; what the domain refuses ends the command with one line."""
    try:
        return asyncio.run(_transacted(settings, work))
    except DomainError as error:
        typer.echo(f"auth: {error.detail}", err=True)
        raise typer.Exit(1) from None


async def _transacted(settings: AuthSettings, work: Work[T]) -> T:
    database = Database(settings.database_url.get_secret_value(), source="auth", pool_size=1)
    try:
        async with database.transaction() as session:
            return await work(session, settings.clock())
    finally:
        await database.close()
