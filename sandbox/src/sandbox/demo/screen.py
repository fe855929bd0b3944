"""How the demo looks: numbered steps, streamed text with a live balance, a closing table."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

SHOWN_CHARS = 600


class Screen:
    """The terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._steps = 0

    def title(self, text: str) -> None:
        self._console.print(Panel(text, border_style="cyan"))

    def step(self, text: str) -> None:
        self._steps += 1
        self._console.print(f"\n[bold cyan]{self._steps}.[/] [bold]{text}[/]")

    def fact(self, text: str) -> None:
        self._console.print(f"   {text}")

    def good(self, text: str) -> None:
        self._console.print(f"   [green]✓[/] {text}")

    def failed(self, text: str) -> None:
        self._console.print(f"\n[bold red]The demo failed:[/] {text}")

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        table = Table(*columns, title=title, title_justify="left", title_style="bold")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Something is under way; nothing of it stays on the screen."""
        with self._console.status(text):
            yield

    @contextmanager
    def streaming(self) -> Iterator["Stream"]:
        with Live(console=self._console, refresh_per_second=12, transient=False) as live:
            yield Stream(live)
        if not self._console.is_terminal:
            self._console.print()


class Stream:
    """Text as it arrives, and the balance as it moves."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._text = ""
        self._balance = Decimal(0)

    def wrote(self, text: str) -> None:
        self._text += text
        self._draw()

    def balance(self, amount: Decimal) -> None:
        self._balance = amount
        self._draw()

    def _draw(self) -> None:
        shown = self._text[-SHOWN_CHARS:]
        balance = Text(f"balance {self._balance:.9f} credits", style="bold yellow")
        self._live.update(Panel(Group(Text(shown), balance), title="streaming", title_align="left", border_style="dim"))
