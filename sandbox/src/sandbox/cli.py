import asyncio
import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from sandbox import mail_view, state, status_view
from sandbox.accounts import Account, PublicApi, make_account
from sandbox.addresses import DEFAULT_PORT, Addresses
from sandbox.credentials import Credentials
from sandbox.logs import follow, log_paths, tails
from sandbox.running import STOP_TIMEOUT_S, Foreground, launch, running_sandbox
from sandbox.selection import without_real_keys
from sandbox.stack import StackError
from sandbox.state import Running
from sandbox.welcome import welcome

PIPED_WIDTH = 160
cli = typer.Typer(
    help="Faregate on this machine: real servers, stand-ins for outside parties, and the five services.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
State = Annotated[
    Path | None,
    typer.Option("--state", envvar="FAREGATE_STATE", help="the folder that keeps everything; .local when not given"),
]
Port = Annotated[
    int,
    typer.Option(envvar="FAREGATE_PORT", min=1024, max=65_000, help="the gateway's port; all others follow from it"),
]


@cli.command()
def up(
    folder: State = None,
    port: Port = DEFAULT_PORT,
    detach: Annotated[bool, typer.Option("--detach", help="return when it is ready; `down` ends it")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", hidden=True)] = False,
) -> None:
    """Bring everything up, go on where it was, and keep it up until Ctrl-C."""
    console = _console()
    with _refusals_shown():
        if detach:
            _up_detached(_folder(folder), port, console)
        else:
            addresses = Addresses.from_gateway_port(port)
            foreground = Foreground(_folder(folder), addresses, console, os.environ, quiet)
            asyncio.run(foreground.run())


@cli.command()
def down(folder: State = None) -> None:
    """End the sandbox that runs; what it keeps stays."""
    with _refusals_shown():
        running = Running.read(_folder(folder))
        if running is None:
            typer.echo("nothing runs")
            return
        running.stop(timeout_s=STOP_TIMEOUT_S)
        typer.echo("stopped")


@cli.command()
def status(folder: State = None) -> None:
    """What runs, how it is and where it listens; exit code 1 unless all is well."""
    running = Running.read(_folder(folder))
    if running is None:
        typer.echo("nothing runs; start it with `make run`")
        raise typer.Exit(1)
    healthy = asyncio.run(status_view.show(_console(), running))
    raise typer.Exit(0 if healthy else 1)


@cli.command()
def logs(
    name: Annotated[
        str | None, typer.Argument(help="one part, for example ledger or kafka; all when not given")
    ] = None,
    folder: State = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="how many of the last lines")] = 20,
    following: Annotated[bool, typer.Option("--follow", "-f", help="go on with what is written from now on")] = False,
) -> None:
    """The last log lines."""
    console = Console(soft_wrap=True)
    with _refusals_shown():
        paths = log_paths(_folder(folder), name)
        for source, line in tails(paths, lines=lines):
            _print_line(console, source, line, alone=name is not None)
        if following:
            for source, line in follow(paths):
                _print_line(console, source, line, alone=name is not None)


@cli.command()
def reset(folder: State = None) -> None:
    """Throw away all that the sandbox keeps: databases, topics, mails, secrets."""
    with _refusals_shown():
        typer.echo("empty" if state.empty(_folder(folder)) else "there was nothing")


@cli.command()
def demo(folder: State = None, port: Port = DEFAULT_PORT) -> None:
    """Tell the whole story in the terminal, from sign-up to a payment; real keys are ignored."""
    # Imported here: it needs much that no other command needs.
    story = importlib.import_module("sandbox.demo")
    with _refusals_shown():
        env = without_real_keys(os.environ)
        with running_sandbox(_folder(folder), port=port, console=_console(), env=env) as running:
            if not running.only_stand_ins:
                raise StackError("the sandbox that runs uses a real outside party; the demo works with stand-ins only")
            exit_code = story.main(gateway_url=running.public_url, mailbox_url=running.mailbox_url)
    raise typer.Exit(exit_code)


@cli.command("demo-money")
def demo_money() -> None:
    """Tell the story of money over simulated months, on a sandbox of its own; exits with 1 where books differ."""
    # Imported here: it needs much that no other command needs.
    story = importlib.import_module("sandbox.demo.money")
    with _refusals_shown():
        exit_code = story.main(_console())
    raise typer.Exit(exit_code)


@cli.command()
def mail(
    mail_id: Annotated[str | None, typer.Argument(help="the mail to read; a list when not given")] = None,
    folder: State = None,
) -> None:
    """The sandbox's mailbox: list it, or read one mail."""
    with _refusals_shown():
        url = _running(_folder(folder)).mailbox_url
        if mail_id is None:
            mail_view.show_list(_console(), url)
        else:
            mail_view.show_mail(Console(soft_wrap=True), url, mail_id)


@cli.command()
def account(
    credits_amount: Annotated[str, typer.Option("--credits", help="credits on top of what the plan gives")] = "0",
    folder: State = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, for scripts")] = False,
) -> None:
    """Make an account with an API key through the public API, and give it credits."""
    with _refusals_shown():
        where = _folder(folder)
        made = asyncio.run(_make_account(where, _running(where), credits_amount)).as_json()
        if as_json:
            typer.echo(json.dumps(made))
        else:
            for field, value in made.items():
                typer.echo(f"{field:<11} {value}")


async def _make_account(folder: Path, running: Running, credits_amount: str) -> Account:
    async with PublicApi(running.local_url) as api:
        operator = Credentials.kept_in(folder).operator
        return await make_account(api, operator=operator, credits_amount=credits_amount)


def _up_detached(folder: Path, port: int, console: Console) -> None:
    running = Running.read(folder)
    if running is not None:
        console.print(f"It is up already: {running.public_url}", highlight=False)
        return
    welcome(console, folder, launch(folder, port=port, env=os.environ, console=console))


def _console() -> Console:
    """As wide as the terminal; wide enough for any line where there is none."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)


def _folder(given: Path | None) -> Path:
    return (given or state.default_folder()).resolve()


def _running(folder: Path) -> Running:
    running = Running.read(folder)
    if running is None or running.status != "ready":
        raise StackError("nothing runs; start it with `make run`" if running is None else "it is not ready yet")
    return running


def _print_line(console: Console, source: str, line: str, *, alone: bool) -> None:
    console.print(Text(line) if alone else Text.assemble((f"{source:<9} ", "cyan"), line))


@contextmanager
def _refusals_shown() -> Iterator[None]:
    """A `StackError` is for people: its message, no stack trace, exit code 1."""
    try:
        yield
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(1) from error
