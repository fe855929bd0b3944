"""Where journals and spools lie: one folder per gateway process, held by a lock that ends with the process.

A process that starts again has another name. So whoever starts looks for folders that nobody holds, ends their calls
and sends their events (money.md 11).
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote, unquote

from kit.errors import DomainError

_LOCK: Final = "lock"


class FolderInUseError(DomainError):
    """Another process holds the folder; two may not share a journal."""

    code = "folder_in_use"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is in use by a process that runs.")


class InstanceFolder:
    """The journal and the spool of one instance, ours while it is held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.instance = unquote(path.name)
        self._lock: int | None = None

    @classmethod
    def of(cls, state: Path, instance: str) -> Self:
        return cls(state / quote(instance, safe=""))

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def spool(self) -> Path:
        return self.path / "spool"

    @property
    def is_held(self) -> bool:
        return self._lock is not None

    def hold(self) -> Self:
        """Take the lock and make what is missing; raises `FolderInUseError` or `OSError`."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise FolderInUseError(self.path) from None
        self._lock = handle
        self.journal.mkdir(mode=0o700, exist_ok=True)
        self.spool.mkdir(mode=0o700, exist_ok=True)
        return self

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def is_in_use(self) -> bool:
        """Whether some process holds it, this one included."""
        if self.is_held:
            return True
        try:
            handle = os.open(self.path / _LOCK, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def __enter__(self) -> Self:
        return self.hold()

    def __exit__(self, *_exc: object) -> None:
        self.release()


def instance_folders(state: Path) -> list[InstanceFolder]:
    """Every instance that left something here."""
    if not state.is_dir():
        return []
    return [InstanceFolder(path) for path in sorted(state.iterdir()) if (path / "journal").is_dir()]


def default_state() -> Path:
    """Where a service manager says, else a place that this user may write."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/faregate/gateway")
    return Path.home() / ".local/state/faregate/gateway"


def unheld(state: Path) -> Iterator[InstanceFolder]:
    """Folders of processes that are no more, each held by us while it is visited."""
    for folder in instance_folders(state):
        try:
            folder.hold()
        except FolderInUseError:
            continue
        try:
            yield folder
        finally:
            folder.release()
