"""Shows the sandbox's mailbox in the terminal."""

from typing import Any

import httpx2
from rich.console import Console
from rich.table import Table

from sandbox.stack import StackError

TIMEOUT_S = 10.0


def show_list(console: Console, url: str) -> None:
    messages: list[dict[str, Any]] = _get(url, "/api/messages")["messages"]
    if not messages:
        console.print("no mail yet")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "received", "to", "subject"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"id", "received"})
    for message in messages:
        table.add_row(str(message["id"]), str(message["received_at"]), _people(message["to"]), str(message["subject"]))
    console.print(table)
    console.print(f"\nRead one with `.venv/bin/python -m sandbox mail ID`, or all in a browser: {url}", highlight=False)


def show_mail(console: Console, url: str, mail_id: str) -> None:
    message = _get(url, f"/api/messages/{mail_id}")
    for name in ("from", "to", "subject", "received_at"):
        console.print(f"{name.replace('_', ' ')}: {_people(message[name])}", highlight=False, markup=False)
    console.print()
    console.print(message.get("text") or message.get("html") or "(empty)", highlight=False, markup=False)


def _people(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _get(url: str, path: str) -> dict[str, Any]:
    try:
        answer = httpx2.get(f"{url}{path}", timeout=TIMEOUT_S, trust_env=False)
    except httpx2.HTTPError as error:
        raise StackError(f"the mailbox at {url} does not answer: {type(error).__name__}") from error
    if answer.status_code == httpx2.codes.NOT_FOUND:
        raise StackError("there is no such mail; `make mail` lists them")
    content: dict[str, Any] = answer.raise_for_status().json()
    return content
