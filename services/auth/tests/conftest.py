"""Auth in-process on the real servers: one app for the session, one user per test."""

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr

from auth.app import create_app
from auth.settings import AuthSettings
from kit import migrations
from kit.clock import ManualClock
from kit.database import Database
from sandbox.testing import json_objects

MIGRATIONS = Path(__file__).parents[1] / "migrations"
SERVICES = ("gateway", "ledger", "billing", "notifier")
PASSWORD = "correct horse battery"
PUBLIC_URL = "http://127.0.0.1:8080"


class ClockedSettings(AuthSettings):
    """Settings whose clock a test moves."""

    manual: ManualClock

    def clock(self):
        return self.manual


@dataclass
class Auth:
    """A running auth and what tests ask of it."""

    http: httpx2.AsyncClient
    database: Database
    clock: ManualClock
    settings: AuthSettings
    records: Callable[[str], Any]

    async def register(self, address: str | None = None, *, password: str = PASSWORD) -> str:
        address = address or f"ada-{uuid4().hex}@example.com"
        answer = await self.http.post("/auth/register", json={"email": address, "password": password})
        assert answer.status_code == 201, answer.text
        return address

    async def login(self, address: str, *, password: str = PASSWORD) -> dict[str, Any]:
        answer = await self.http.post("/auth/login", json={"email": address, "password": password})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def signed_in(self) -> dict[str, Any]:
        return await self.login(await self.register())

    async def refresh(self, token: str) -> httpx2.Response:
        return await self.http.post("/auth/refresh", json={"refresh_token": token})

    async def service_headers(self, service: str, audience: str = "auth") -> dict[str, str]:
        body = {"service": service, "secret": f"secret-of-{service}", "audience": audience}
        answer = await self.http.post("/internal/service-tokens", json=body)
        assert answer.status_code == 200, answer.text
        return {"authorization": f"Bearer {answer.json()['access_token']}"}

    async def make_key(self, tokens: dict[str, Any], **wanted: object) -> dict[str, Any]:
        body = {"name": "test", "mode": "test", **wanted}
        answer = await self.http.post("/auth/api-keys", json=body, headers=bearer(tokens))
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def resolve(self, key: str) -> httpx2.Response:
        headers = await self.service_headers("gateway")
        return await self.http.post("/internal/api-keys/resolve", json={"key": key}, headers=headers)

    async def events(self, topic: str, *, at_least: int = 1, **data: object) -> list[dict[str, Any]]:
        """The events on a topic whose data holds these values, once there are so many; fewer after 5 s."""
        deadline = asyncio.get_running_loop().time() + 5
        while True:
            events = [one for one in json_objects(await self.records(topic)) if "data" in one]
            found = [one for one in events if all(one["data"].get(k) == str(v) for k, v in data.items())]
            if len(found) >= at_least or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(0.1)

    async def mail(self, user_id: str, *, kind: str = "verify-email") -> dict[str, Any]:
        """The newest mail of this kind, as the notifier gets it."""
        asked = await self.events("auth.message-requested.v1", user_id=user_id, kind=kind)
        headers = await self.service_headers("notifier")
        answer = await self.http.get(f"/internal/messages/{asked[-1]['data']['message_id']}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(stack, topics, fresh_database, kafka_records, skip_to_end):
    """A context manager that runs an auth on a database of its own."""

    @asynccontextmanager
    async def run(**changed: Any) -> AsyncIterator[Auth]:
        url = changed.pop("url", None) or await fresh_database("auth")
        await asyncio.to_thread(migrations.upgrade, MIGRATIONS, url)
        await skip_to_end(group := f"auth-{uuid4().hex}")
        settings = make_settings(url, kafka=stack.kafka_bootstrap, **changed)
        app = create_app(settings, group=group)
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://auth", timeout=20) as http:
                yield Auth(http, app.state.database, settings.clock(), settings, kafka_records)

    return run


def make_settings(url: str, *, kafka: str, **changed: Any) -> ClockedSettings:
    values = {
        "environment": "production",
        "kafka_bootstrap": kafka,
        "public_url": PUBLIC_URL,
        "auth_url": "http://127.0.0.1:8081",
        "port": 8081,
        "database_url": SecretStr(url),
        "key_encryption_key": SecretStr(base64.b64encode(os.urandom(32)).decode()),
        "service_secret_hashes": {one: hashlib.sha256(f"secret-of-{one}".encode()).hexdigest() for one in SERVICES},
        "signups_per_hour": 10_000,
        "manual": ManualClock(),
    }
    return ClockedSettings(**{**values, **changed})


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def auth(running) -> AsyncIterator[Auth]:
    async with running() as auth:
        yield auth


@pytest.fixture
def as_bearer():
    return bearer
