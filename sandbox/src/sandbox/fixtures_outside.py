"""A pytest plugin: the stand-ins for outside parties, each in a process of its own."""

import contextlib
import os
import re
import secrets
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

_START_TIMEOUT_S = 30
_STOP_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Provider:
    """The stand-in model provider and what it has answered."""

    base_url: str
    api_key: str

    def calls(self, *, limit: int = 100) -> list[dict[str, Any]]:
        """The newest calls first; each has at least request_id, path, model, status, usage and ended."""
        answer = httpx2.get(f"{self.base_url}/sandbox/calls", params={"limit": limit}).raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    def bytes(self, request_id: str) -> bytes:
        """The exact body that was sent."""
        return httpx2.get(f"{self.base_url}/sandbox/calls/{request_id}/bytes").raise_for_status().content

    def forget(self) -> None:
        httpx2.delete(f"{self.base_url}/sandbox/calls").raise_for_status()


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The sandbox's mailbox."""

    smtp_port: int
    http_url: str

    def messages(self, *, to: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """The newest mails first: id, from, to (a list), subject, received_at."""
        params = {"limit": str(limit)} | ({"to": to} if to else {})
        answer = httpx2.get(f"{self.http_url}/api/messages", params=params).raise_for_status()
        found: list[dict[str, Any]] = answer.json()["messages"]
        return found

    def message(self, mail_id: str) -> dict[str, Any]:
        """One mail with its text, html and headers."""
        found: dict[str, Any] = httpx2.get(f"{self.http_url}/api/messages/{mail_id}").raise_for_status().json()
        return found

    def clear(self) -> None:
        httpx2.delete(f"{self.http_url}/api/messages").raise_for_status()


@contextlib.contextmanager
def outside_process(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[list[str]]:
    """Start `python -m …` and yield the addresses that its first line names; it dies with this process."""
    process = subprocess.Popen(  # noqa: S603  our own modules
        [sys.executable, "-m", *arguments, "--with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        text=True,
    )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _START_TIMEOUT_S)
        addresses = re.findall(r"\w+://\S+", process.stdout.readline()) if ready else []
        assert addresses, f"{arguments[0]} did not start"
        yield addresses
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    api_key = f"sk-sandbox-{secrets.token_hex(16)}"
    env = {"FAREGATE_SANDBOX_PROVIDER_API_KEY": api_key}
    with outside_process("sandbox.provider", "--port", "0", env=env) as addresses:
        yield Provider(addresses[0], api_key)


@pytest.fixture(scope="session")
def mailbox() -> Iterator[Mailbox]:
    with outside_process("sandbox.mailbox", "--smtp-port", "0", "--http-port", "0") as addresses:
        yield Mailbox(int(addresses[0].rpartition(":")[2]), addresses[1])
