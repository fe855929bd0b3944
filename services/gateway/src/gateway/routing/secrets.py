"""Secrets by reference, and addresses with places to fill in: what a configuration may point to but never hold."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final

_REFERENCE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\x00-\x1f]+")
_PLACE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MOST_SECRET_BYTES: Final = 8192


class MissingError(Exception):
    """What a reference points to is not there; the message names the reference, never the secret."""


def check_reference(text: str) -> str:
    """Raises `ValueError` for anything but a reference, without repeating it: it could be the secret itself."""
    if not _REFERENCE.fullmatch(text):
        raise ValueError("a secret is given by reference: env:NAME or file:/path")
    if text.startswith("file:") and ".." in PurePosixPath(text.removeprefix("file:")).parts:
        raise ValueError("a secret's path is without ..")
    return text


def is_allowed(reference: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns allows the reference."""
    return any(fnmatchcase(reference, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Looks references up in the environment it was given, and in files."""

    env: Mapping[str, str]

    def find(self, reference: str) -> bytes:
        """Raises `MissingError` when there is no usable secret."""
        scheme, _, name = reference.partition(":")
        value = self._of_env(name) if scheme == "env" else _of_file(Path(name))
        if not value:
            raise MissingError(f"{name} is not set" if scheme == "env" else f"{name} is empty")
        if len(value) > _MOST_SECRET_BYTES or any(byte <= 32 or byte >= 127 for byte in value):
            raise MissingError(f"{name} does not hold one line of printable characters")
        return value

    def filled(self, text: str) -> str:
        """`${NAME}` and `${NAME:-otherwise}` replaced; raises `MissingError` for a name without a value."""

        def replaced(match: re.Match[str]) -> str:
            value = self.env.get(match[1]) or match[2]
            if not value:
                raise MissingError(f"{match[1]} is not set")
            return value

        return _PLACE.sub(replaced, text)

    def _of_env(self, name: str) -> bytes:
        return self.env.get(name, "").strip().encode("utf-8", "replace")


def _of_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_SECRET_BYTES + 2).strip()
    except OSError as error:
        raise MissingError(f"{path} cannot be read ({type(error).__name__})") from None
