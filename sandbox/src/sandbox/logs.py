"""Reads the log files of a sandbox."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox.stack import StackError
from sandbox.stack.process import log_tail

FOLLOW_S = 0.25


def log_paths(folder: Path, name: str | None) -> dict[str, Path]:
    """One log, or all, by name."""
    found = {path.stem: path for path in sorted((folder / "logs").glob("*.log")) if not path.stem.endswith(".old")}
    if name is None:
        return found
    if name not in found:
        raise StackError(f"there is no log of {name}; there are logs of: {', '.join(found) or 'nothing yet'}")
    return {name: found[name]}


def tails(paths: dict[str, Path], *, lines: int) -> Iterator[tuple[str, str]]:
    """The last lines of each, as pairs of name and line."""
    for name, path in paths.items():
        for line in log_tail(path, lines).splitlines():
            yield name, line


def follow(paths: dict[str, Path], *, stopped: Callable[[], bool] = lambda: False) -> Iterator[tuple[str, str]]:
    """What is written from now on."""
    offsets = {name: path.stat().st_size for name, path in paths.items()}
    while not stopped():
        for name, path in paths.items():
            yield from ((name, line) for line in _new_lines(name, path, offsets))
        time.sleep(FOLLOW_S)


def _new_lines(name: str, path: Path, offsets: dict[str, int]) -> list[str]:
    size = path.stat().st_size if path.exists() else 0
    if size < offsets[name]:  # rolled over
        offsets[name] = 0
    if size == offsets[name]:
        return []
    with path.open("rb") as file:
        file.seek(offsets[name])
        text, _, _unfinished = file.read(size - offsets[name]).rpartition(b"\n")
    offsets[name] += len(text) + 1 if text else 0
    return text.decode(errors="replace").splitlines()
