"""A service's command called in the process of its test: a start of Python costs more than most commands do."""

import asyncio
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TextIO

import structlog
import typer


@dataclass(frozen=True, slots=True)
class Called:
    """How a command ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


class _OwnWords(io.StringIO):
    """What one thread writes; what other threads of the process write meanwhile goes where it went before."""

    def __init__(self, others: TextIO) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._others = others

    def write(self, text: str) -> int:
        mine = threading.get_ident() == self._thread
        return super().write(text) if mine else self._others.write(text)


async def called(cli: typer.Typer, *arguments: str, env: Mapping[str, str]) -> Called:
    """Run the command in a thread of its own, with these variables beside the process's."""
    return await asyncio.to_thread(_called, cli, arguments, env)


def _called(cli: typer.Typer, arguments: tuple[str, ...], env: Mapping[str, str]) -> Called:
    said, complained, code = _OwnWords(sys.stdout), _OwnWords(sys.stderr), 0
    with _environment(env), _logging_as_it_was(), redirect_stdout(said), redirect_stderr(complained):
        try:
            cli(list(arguments), prog_name="service")
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Called(code, said.getvalue(), complained.getvalue())


@contextmanager
def _logging_as_it_was() -> Iterator[None]:
    """A command sets up logging for its process, which here is the tests'."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)


@contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in env}
    os.environ.update(env)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
