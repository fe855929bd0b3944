"""A notifier that runs, and what tests ask of it."""

import asyncio
import json
import os
import signal as signals
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any, TypeVar
from uuid import UUID

import httpx2
from sqlalchemy import text

from contracts.event import Event
from contracts.notifier import DeliveryFailed
from kit.database import Database
from kit.producer import Producer
from kit.testing import Signer
from kit.testing_commands import called
from notifier.app import create_app
from notifier.cli import app as cli
from notifier.settings import NotifierSettings
from sandbox.fixtures_outside import Mailbox
from sandbox.testing import KafkaRecords

T = TypeVar("T")

PUBLIC_URL = "http://127.0.0.1:8080"
MAIL_FROM = "Faregate <no-reply@faregate.example>"


@dataclass(frozen=True)
class Surroundings:
    """What a notifier needs round it: its settings by field name, and the ways to reach the same servers."""

    settings: dict[str, Any]
    database: Database
    producer: Producer
    mailbox: Mailbox

    async def deliver(self, *events: Event) -> None:
        """Put events on their topics."""
        await self.producer.send_all(
            [(event.type, event.key.encode(), event.encode(event.type.partition(".")[0])) for event in events]
        )

    async def rows(self, where: str = "true", **values: Any) -> list[dict[str, Any]]:
        """Rows of the delivery table, oldest first."""
        async with self.database.reading() as session:
            query = text(f"SELECT * FROM delivery WHERE {where} ORDER BY created_at, id")  # noqa: S608  # our tests' own words
            return [dict(row) for row in (await session.execute(query, values)).mappings()]

    async def settled(self, account_id: UUID, state: str, *, count: int = 1) -> list[dict[str, Any]]:
        """The account's deliveries once `count` of them are in this state."""

        async def there() -> list[dict[str, Any]]:
            rows = await self.rows("account_id = :account AND state = :state", account=account_id, state=state)
            return rows if len(rows) >= count else []

        return await until(there)

    async def mails(self, address: str, *, count: int = 1) -> list[dict[str, Any]]:
        """The mails to an address, newest first, once there are `count`."""

        async def there() -> list[dict[str, Any]]:
            found = await asyncio.to_thread(self.mailbox.messages, to=address)
            return found if len(found) >= count else []

        return await until(there)

    async def read(self, mail: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(self.mailbox.message, mail["id"])

    def environment(self, **changed: Any) -> dict[str, str]:
        """The settings as a process of its own wants them; those that are None are left out."""
        shared = {"environment", "kafka_bootstrap", "public_url", "auth_url", "billing_url"}
        return {
            f"FAREGATE_{'' if name in shared else 'NOTIFIER_'}{name.upper()}": str(value)
            for name, value in {**self.settings, **changed}.items()
            if value is not None
        }

    async def command(self, *arguments: str, **changed: Any) -> tuple[int, str]:
        """`python -m notifier` with these arguments, in this process: exit code and what it said."""
        done = await called(cli, *arguments, env=self.environment(**changed))
        return done.returncode, done.stdout + done.stderr


@dataclass(frozen=True)
class Notifier(Surroundings):
    """A notifier in this process, and callers of its routes."""

    signer: Signer
    client: httpx2.AsyncClient

    async def get(self, path: str, *, account_id: UUID, operator: bool = False) -> httpx2.Response:
        return await self.ask("GET", path, account_id=account_id, operator=operator)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        account_id: UUID,
        user_id: UUID | None = None,
        role: str = "owner",
        operator: bool = False,
        accept_language: str = "en",
        **body: Any,
    ) -> httpx2.Response:
        """Ask as a member of an account; keywords that are left make the JSON body."""
        token = self.signer.user_token(account_id=account_id, user_id=user_id, role=role, operator=operator)
        headers = {"authorization": f"Bearer {token}", "accept-language": accept_language}
        return await self.client.request(method, path, headers=headers, json=body or None)


@dataclass(frozen=True)
class OwnProcess:
    """A notifier in a process of its own."""

    process: asyncio.subprocess.Process
    log: IO[bytes]

    async def stop(self, signal: signals.Signals) -> bytes:
        """What it had logged when it had ended."""
        self.process.send_signal(signal)
        await asyncio.wait_for(self.process.wait(), 15)
        self.log.seek(0)
        return self.log.read()


@asynccontextmanager
async def own_process(around: Surroundings, **changed: Any) -> AsyncIterator[OwnProcess]:
    """`python -m notifier serve` in a process of its own, ready; it is killed at the end if it still runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A file, because a pipe that nobody reads stops the process when it is full.
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "notifier", "serve"),
            env={**os.environ, **around.environment(**{"port": port, **changed})},
            stderr=log,
        )
        try:
            await _ready(f"http://127.0.0.1:{port}", process)
            yield OwnProcess(process, log)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with httpx2.AsyncClient(base_url=url) as client:

        async def ready() -> bool:
            assert process.returncode is None, "the notifier ended"
            try:
                return (await client.get("/health/ready")).status_code == 200
            except httpx2.HTTPError:
                return False

        await until(ready, timeout_s=60)


@asynccontextmanager
async def in_process(around: Surroundings, **changed: Any) -> AsyncIterator[Notifier]:
    """A ready notifier; `changed` settings differ from the surroundings'."""
    signer = Signer(issuer=PUBLIC_URL)
    app = create_app(NotifierSettings(**{**around.settings, **changed}), keys=signer.key_source)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://notifier") as client,
    ):

        async def ready() -> bool:
            return (await client.get("/health/ready")).status_code == 200

        await until(ready, timeout_s=30)
        yield Notifier(**vars(around), signer=signer, client=client)


async def until(there: Callable[[], Awaitable[T]], timeout_s: float = 15) -> T:
    """What `there` gives, once it gives something."""
    async with asyncio.timeout(timeout_s):
        while not (found := await there()):  # noqa: ASYNC110  # what is waited for is in other processes
            await asyncio.sleep(0.05)
        return found


async def make_due(around: Surroundings, account_id: UUID) -> None:
    """The night is over, the digest's time has come, the pause before the next attempt is past."""
    async with around.database.transaction() as session:
        waiting = "account_id = :account AND state = 'pending'"
        query = f"UPDATE delivery SET next_attempt_at = now(), trying_since = now() WHERE {waiting}"  # noqa: S608
        await session.execute(text(query), {"account": account_id})


async def published_failures(kafka_records: KafkaRecords, delivery_id: UUID) -> list[dict[str, object]]:
    """What was published about a delivery, once something was."""

    async def there() -> list[dict[str, object]]:
        records = await kafka_records(DeliveryFailed.type)
        return [json.loads(value)["data"] for key, value in records if key == str(delivery_id).encode()]

    return await until(there)
