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
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx2
import pyotp
import pytest
import pytest_asyncio
from pydantic import SecretStr
from services.auth.tests.browsing import Browser

from auth.adapters.passwords import Passwords
from auth.app import create_app
from auth.repository import members
from auth.service import facts, people
from auth.service.messages import mark_verified
from auth.settings import AuthSettings
from kit import outbox
from kit.clock import ManualClock
from kit.database import Database
from sandbox.testing import json_objects

MIGRATIONS = Path(__file__).parents[1] / "migrations"
SERVICES = ("gateway", "ledger", "billing", "notifier")
SCOPES = ("models", "account")
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

    async def verified(self) -> dict[str, Any]:
        """Signed in as a new user who has confirmed the address."""
        tokens = await self.signed_in()
        async with self.database.transaction() as session:
            await mark_verified(session, UUID(tokens["user_id"]), now=self.clock.now())
        return tokens

    async def switch(self, tokens: dict[str, Any], account_id: str) -> dict[str, Any]:
        answer = await self.http.post("/auth/switch", json={"account_id": account_id}, headers=bearer(tokens))
        assert answer.status_code == 200, answer.text
        return {**tokens, **answer.json()}

    async def team(self, name: str = "Poets") -> dict[str, Any]:
        """The tokens of a team's owner, at work in the team."""
        tokens = await self.verified()
        made = await self.http.post("/auth/accounts", json={"name": name}, headers=bearer(tokens))
        assert made.status_code == 201, made.text
        return await self.switch(tokens, made.json()["id"])

    async def joined(self, team: dict[str, Any], role: str) -> dict[str, Any]:
        """The tokens of a new member, at work in the team."""
        tokens = await self.verified()
        async with self.database.transaction() as session:
            account_id, user_id = UUID(team["account_id"]), UUID(tokens["user_id"])
            member = await members.upsert_member(session, account_id, user_id, role=role)
            await outbox.add(session, facts.member_changed(member, now=self.clock.now()))
        return await self.switch(tokens, team["account_id"])

    async def stepped_up_operator(self) -> dict[str, Any]:
        """The tokens of a new operator who has just proved password and second factor."""
        tokens = await self.verified()
        secret = (await self.call("POST", "/auth/totp", tokens, password=PASSWORD)).json()["secret"]
        await self.call("POST", "/auth/totp/confirm", tokens, code=self.code(secret))
        self.clock.advance(60)
        async with self.database.transaction() as session:
            await people.set_operator(session, UUID(tokens["user_id"]), operator=True, clock=self.clock)
        tokens = (await self.refresh(tokens["refresh_token"])).json()
        raised = await self.call("POST", "/auth/step-up", tokens, password=PASSWORD, code=self.code(secret))
        assert raised.status_code == 200, raised.text
        return {**tokens, **raised.json()}

    def code(self, secret: str) -> str:
        return pyotp.TOTP(secret).at(self.clock.now())

    async def call(self, method: str, path: str, tokens: dict[str, Any] | None, **body: Any) -> httpx2.Response:
        headers = bearer(tokens) if tokens else {}
        json = body or None if method in ("GET", "DELETE") else body
        return await self.http.request(method, path, json=json, headers=headers)

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

    async def link_token(self, user_id: str, *, kind: str) -> str:
        """The token in the link of the newest mail of this kind."""
        link = (await self.mail(user_id, kind=kind))["link"]
        return parse_qs(urlsplit(link).query)["token"][0]

    async def acted(self, tokens: dict[str, Any]) -> list[str]:
        """What the caller's own log says, newest first."""
        answer = await self.http.get("/auth/me/activity", headers=bearer(tokens))
        assert answer.status_code == 200, answer.text
        return [one["action"] for one in answer.json()["items"]]


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(stack, topics, migrated_database, kafka_records, skip_to_end):
    """A context manager that runs an auth on a database of its own.

    Its hashes cost next to nothing, unless `passwords` says otherwise: a real one takes 20 ms of a core.
    """

    @asynccontextmanager
    async def run(*, passwords: Passwords | None = None, **changed: Any) -> AsyncIterator[Auth]:
        url = changed.pop("url", None) or await migrated_database("auth", MIGRATIONS)
        await skip_to_end(group := f"auth-{uuid4().hex}")
        settings = make_settings(url, kafka=stack.kafka_bootstrap, **changed)
        app = create_app(settings, group=group, passwords=passwords or Passwords(memory_kib=64))
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
        "programs": [
            {"id": "editor", "name": "Edie", "redirect_uris": ["http://127.0.0.1/callback", "https://edie.example/cb"]},
            {"id": "manager", "name": "Manny", "redirect_uris": ["https://manny.example/cb"], "scopes": SCOPES},
        ],
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


@pytest_asyncio.fixture(loop_scope="session")
async def browser(auth):
    """Somebody who has signed in on the pages; `address` is theirs."""
    made = Browser(auth.http)
    made.address = await auth.register()
    assert (await made.sign_in(made.address, PASSWORD)).status_code == 303
    return made
