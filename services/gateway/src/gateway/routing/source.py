"""The configuration file: read, watched, and kept as it last was right."""

from importlib import resources
from pathlib import Path
from typing import Any

from gateway.routing.config import parse_config, read_toml
from gateway.routing.errors import Problem, RoutingConfigError

Stamp = tuple[int, int, int]


class ConfigFile:
    """The operator's file, or the one that comes with the package."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._stamp: Stamp | None = None

    @property
    def name(self) -> str:
        return str(self.path) if self.path is not None else "the shipped configuration"

    def read(self) -> dict[str, Any]:
        """The file's tables, checked by themselves; raises `RoutingConfigError`."""
        self._stamp = self._stamp_now()
        try:
            text = self._text()
        except (OSError, UnicodeDecodeError) as error:
            raise RoutingConfigError([Problem("the file", f"cannot be read ({type(error).__name__})")]) from None
        tables = read_toml(text)
        parse_config(tables)
        return tables

    def has_changed(self) -> bool:
        """Whether the file is another than the one read last; a file that is gone has changed too."""
        return self.path is not None and self._stamp_now() != self._stamp

    def _text(self) -> str:
        if self.path is not None:
            return self.path.read_text(encoding="utf-8")
        return resources.files("gateway.routing").joinpath("default.toml").read_text(encoding="utf-8")

    def _stamp_now(self) -> Stamp | None:
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
