"""What `make bench` reports: each figure beside a limit that was measured in the same run."""

import json
import platform
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

Round = TypeVar("Round")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. `ratio` is value / limit; `must` is what it has to reach, None where nothing is asked."""

    name: str
    value: float
    unit: str
    against: str
    ratio: float | None = None
    must: str | None = None
    holds: bool | None = None


def report(figures: Sequence[Figure], path: Path) -> bool:
    """Print the table and write the list as JSON; False when a must is missed."""
    table = Table("figure", "value", "against", "ratio", "must", "holds", caption=f"measured with {interpreter()}")
    for one in figures:
        ratio = "" if one.ratio is None else f"{one.ratio:.3f}"
        holds = "" if one.holds is None else ("yes" if one.holds else "[bold red]NO[/]")
        table.add_row(one.name, f"{one.value:,.1f} {one.unit}", one.against, ratio, one.must or "", holds)
    Console(width=150).print(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(one) for one in figures], indent=1) + "\n")
    return all(one.holds is not False for one in figures)


def interpreter() -> str:
    """Version and build: the same code is a tenth faster and more on an interpreter built with profiles (PGO, LTO)."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    built = " and ".join(
        f"{'with' if option in options else 'without'} {name}"
        for option, name in (("--enable-optimizations", "PGO"), ("--with-lto", "LTO"))
    )
    return f"{platform.python_implementation()} {platform.python_version()}, built {built}"


def middle(rounds: Sequence[Round], by: Callable[[Round], float]) -> Round:
    """The round whose ratio is neither the best nor the worst: a core's speed changes from second to second."""
    return sorted(rounds, key=by)[len(rounds) // 2]


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
