"""What runs on top of the servers: the stand-ins and the five services."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.environment import SERVICES, Environments

SERVERS = ("kafka", "postgres", "redis")
TOPICS = "topics"


@dataclass(frozen=True, slots=True)
class Program:
    """One process: `prepare` runs to its end before `command` is started."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    ports: tuple[int, ...]
    needs: tuple[str, ...] = ()
    prepare: tuple[str, ...] | None = None
    prepare_env: Mapping[str, str] | None = None
    ready_path: str | None = None
    is_stand_in: bool = False


def programs(environments: Environments, *, folder: Path) -> list[Program]:
    """In the order in which they are shown."""
    return [*_stand_ins(environments, folder=folder), *(_service(name, environments) for name in SERVICES)]


def _service(name: str, environments: Environments) -> Program:
    has_database = name != "gateway"
    return Program(
        name=name,
        command=(sys.executable, "-m", name, "serve"),
        env=environments.of_service(name),
        ports=(environments.addresses.port(name),),
        needs=(TOPICS, "postgres" if has_database else "redis"),
        prepare=(sys.executable, "-m", "sandbox.migrate", name) if has_database else None,
        prepare_env=environments.of_migration(name) if has_database else None,
        ready_path="/health/ready",
    )


def _stand_ins(environments: Environments, *, folder: Path) -> list[Program]:
    addresses = environments.addresses
    found = []
    if environments.selection.has_provider_stand_in:
        found.append(_stand_in("provider", environments, "--port", str(addresses.provider)))
    if environments.selection.has_stripe_stand_in:
        state = ("--state", str(folder / "stripe"))
        found.append(_stand_in("stripe", environments, "--port", str(addresses.stripe), *state))
    ports = ("--http-port", str(addresses.mailbox), "--smtp-port", str(addresses.smtp))
    found.append(_stand_in("mailbox", environments, *ports, "--state", str(folder / "mailbox")))
    return found


def _stand_in(name: str, environments: Environments, *arguments: str) -> Program:
    addresses = environments.addresses
    ports = (addresses.mailbox, addresses.smtp) if name == "mailbox" else (addresses.port(name),)
    return Program(
        name=name,
        command=(sys.executable, "-m", f"sandbox.{name}", *arguments),
        env=environments.of_stand_in(name),
        ports=ports,
        is_stand_in=True,
    )
