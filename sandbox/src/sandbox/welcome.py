"""What a sandbox does and says once everything is ready."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from sandbox.accounts import PublicApi
from sandbox.credentials import Credentials, Login
from sandbox.stack.once import run_once
from sandbox.state import Running
from sandbox.supervisor import Supervisor

COMMAND_TIMEOUT_S = 60.0
MODEL = "claude-haiku-5-5"


async def introduce(supervisor: Supervisor, url: str) -> None:
    """Make the user and the operator that belong to the state folder, the first time."""
    credentials = Credentials.kept_in(supervisor.folder)
    auth = supervisor.program("auth")
    async with PublicApi(url) as api:
        if not await api.is_known(credentials.user):
            await api.register(credentials.user)
        if not await api.is_known(credentials.operator):
            await api.register(credentials.operator)
            await run_once(
                [*auth.command[:-1], "operator", "add", credentials.operator.email],
                purpose="making the first operator",
                timeout_s=COMMAND_TIMEOUT_S,
                env=auth.env,
            )


def welcome(console: Console, folder: Path, running: Running) -> None:
    """The address, who can log in, what is a stand-in, and three commands to try."""
    user = Credentials.kept_in(folder).user
    lines = [
        "",
        f"[bold green]Faregate is up:[/] [bold]{running.public_url}[/]",
        "",
        "This is a sandbox:",
        *(f"  {name + ':':<16} {selected}" for name, selected in running.selected.items()),
        f"  {'its mailbox:':<16} {running.mailbox_url}",
        "",
        f"Log in as {user.email} with the password {user.password}",
        "",
        "Try these:",
        *map(escape, commands(running.public_url, user)),
        "",
        f"From another terminal: `{program()} status`, `logs`, `mail`, `demo`.",
        "",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


def program() -> str:
    """How this program is called from here."""
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    return f"{shown} -m sandbox"


def commands(url: str, login: Login) -> list[str]:
    """Three commands that can be pasted one after the other."""
    take = """python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'"""
    bearer = '-H "Authorization: Bearer $TOKEN"'
    sent = "-H 'Content-Type: application/json' -d"
    sign_in = json.dumps(asdict(login))
    messages = [{"role": "user", "content": "Say hello"}]
    call = json.dumps({"model": MODEL, "max_tokens": 200, "stream": True, "messages": messages})
    return [
        f"  TOKEN=$(curl -s {url}/auth/login {sent} '{sign_in}' | {take})",
        f"  curl -sN {url}/v1/messages {bearer} -H 'anthropic-version: 2023-06-01' {sent} '{call}'",
        f"  curl -s {url}/ledger/balance {bearer}",
    ]
