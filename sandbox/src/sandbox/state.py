"""The folder that holds everything a sandbox keeps, and the record of the one that runs in it."""

import fcntl
import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Self

import psutil

import sandbox
from sandbox.stack import StackError
from sandbox.stack.ports import HOST

FOLDER_NAME = ".local"
RECORD_NAME = "running.json"
LOCK_NAME = "lock"
Status = Literal["starting", "ready", "stopping"]


@dataclass(slots=True)
class Part:
    """One process of a running sandbox."""

    phase: str = "waiting"
    pid: int | None = None
    url: str | None = None


@dataclass(slots=True)
class Running:
    """A sandbox that is up or on its way; written by its supervisor, read by every other command."""

    pid: int
    started: float
    status: Status
    public_url: str
    mailbox_url: str
    gateway_port: int
    only_stand_ins: bool
    selected: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def local_url(self) -> str:
        """The gateway as seen from this machine; the public address may lead elsewhere."""
        return f"http://{HOST}:{self.gateway_port}"

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """None when nothing runs, also when what ran was killed."""
        try:
            content = json.loads((folder / RECORD_NAME).read_text())
            parts = {name: Part(**part) for name, part in content.pop("parts").items()}
            running = cls(**content, parts=parts)
            alive = psutil.Process(running.pid).create_time() == running.started
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None
        return running if alive else None

    def write(self, folder: Path) -> None:
        partial = folder / f"{RECORD_NAME}.part"
        partial.write_text(json.dumps(asdict(self), indent=1))
        partial.replace(folder / RECORD_NAME)

    def stop(self, *, timeout_s: float) -> None:
        """Ask the supervisor to end and wait until it has."""
        try:
            supervisor = psutil.Process(self.pid)
            supervisor.send_signal(signal.SIGTERM)
            supervisor.wait(timeout_s)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired as error:
            raise StackError(f"the sandbox (process {self.pid}) did not end within {timeout_s:.0f} s") from error


def default_folder() -> Path:
    """`.local` in the repository, or here when the package is not run from one."""
    repository = Path(sandbox.__file__).resolve().parents[3]
    return (repository if (repository / "requirements.lock").exists() else Path.cwd()) / FOLDER_NAME


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder is ours alone; two sandboxes in one would share databases and ports."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_NAME).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            running = Running.read(folder)
            holder = f" (process {running.pid})" if running else ""
            raise StackError(f"a sandbox runs already in {folder}{holder}; see `python -m sandbox status`") from error
        try:
            yield
        finally:
            (folder / RECORD_NAME).unlink(missing_ok=True)


def empty(folder: Path) -> bool:
    """Remove all that the folder holds; False when there was nothing."""
    if not folder.exists():
        return False
    if folder != default_folder() and not (folder / LOCK_NAME).exists():
        raise StackError(f"{folder} does not look like a sandbox's folder (it has no {LOCK_NAME}); nothing was removed")
    with held(folder):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != LOCK_NAME:
                path.unlink()
    return True
