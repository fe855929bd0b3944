"""Shows each part coming up: a live table in a terminal, one line for each change elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

SETTLED = ("ready", "stopped")
REFRESHES_PER_S = 10


class Progress:
    """Fed with phases by name; a context manager that owns the screen while it is open."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._rows: dict[str, tuple[str, float]] = {}
        self._live = Live(console=console, refresh_per_second=REFRESHES_PER_S, get_renderable=self._table)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, name: str, phase: str) -> None:
        if self._rows.get(name, ("", 0.0))[0] == phase:
            return
        after_s = time.monotonic() - self._began
        self._rows[name] = (phase, after_s)
        if not self._console.is_terminal and phase != "waiting":
            self._console.print(f"  {after_s:5.1f} s  {name:<9} {phase}", highlight=False)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, (phase, after_s) in self._rows.items():
            if phase in SETTLED:
                table.add_row(Text("✓", "green"), name, Text(f"{phase} after {after_s:.1f} s", "dim"))
            else:
                table.add_row(Spinner("dots"), name, phase)
        return table
