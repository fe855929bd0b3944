"""stripe-mock, which knows Stripe's published API description, as a judge of shapes; it has no state."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from sandbox.stack.cache import cache_dir
from sandbox.stripe.settings import HOST

MODULE = "github.com/stripe/stripe-mock"
VERSION = "v0.203.0"
INSTALL_TIMEOUT_S = 300
START_TIMEOUT_S = 30


class JudgeMissingError(Exception):
    """The judge cannot be had on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A running stripe-mock and the description that it judges by."""

    base_url: str
    description: dict[str, Any] = field(repr=False)

    def verdict(self, method: str, path: str, *, form: str = "", query: str = "") -> str | None:
        """Why the request would be refused, or None when its shape is right."""
        headers = {"Authorization": "Bearer sk_test_123", "Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self.base_url}{path}" + (f"?{query}" if query else "")
        answer = httpx2.request(method, url, content=form if method == "POST" else None, headers=headers)
        return None if answer.status_code == 200 else f"{answer.status_code} {answer.text}"


@contextmanager
def running_judge() -> Iterator[Judge]:
    """Installed into our cache at first use, which takes about half a minute."""
    binary = _installed_binary()
    description = _description()
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603 - the binary that we built
        [binary, "-http-addr", f"{HOST}:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port)
        yield Judge(f"http://{HOST}:{port}", description)
    finally:
        process.terminate()
        process.wait()


def _installed_binary() -> Path:
    folder = cache_dir("go")
    binary = folder / f"stripe-mock-{VERSION}"
    if binary.exists() and _description_path().exists():
        return binary
    environment = {**os.environ, "GOBIN": str(folder)}
    _go("install", f"{MODULE}@{VERSION}", environment=environment)
    (folder / "stripe-mock").rename(binary)
    return binary


def _description_path() -> Path:
    modules = Path(_go("env", "GOMODCACHE").strip())
    return modules / f"{MODULE}@{VERSION}" / "embedded" / "openapi" / "spec3.json"


def _description() -> dict[str, Any]:
    description: dict[str, Any] = json.loads(_description_path().read_text())
    return description


def _go(*arguments: str, environment: dict[str, str] | None = None) -> str:
    go = shutil.which("go")
    if go is None:
        raise JudgeMissingError("stripe-mock needs Go, which is not on the PATH")
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [go, *arguments], env=environment, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise JudgeMissingError(f"go {arguments[0]} did not end within {INSTALL_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise JudgeMissingError(f"go {' '.join(arguments)} failed: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise JudgeMissingError(f"stripe-mock did not listen within {START_TIMEOUT_S} s")
