"""A gateway's forwarding alone, served over HTTP, in front of a service that does what a test says."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx2
import uvicorn
from fastapi import FastAPI

from gateway.adapters.auth import Asked, ResolvedKey, Standings
from gateway.adapters.services import Bounds, Services
from gateway.entrypoints import forward
from gateway.identity.flood import Allowance, Buckets
from kit import apikeys
from kit.clock import SystemClock
from kit.health import Health
from kit.http import create_app
from kit.testing import Signer
from kit.tokens import AUDIENCE

from ..identity_parts import ISSUER, identity_parts  # noqa: TID252  # tests are no package

SMALL = Bounds(total_s=1.0, event_silence_s=20.0, most_bytes=100_000)
RULES = [
    forward.Rule(one.path, one.service, one.methods, SMALL, one.exchange_key, one.anonymous) for one in forward.RULES
]
Handler = Callable[[dict[str, Any], Callable[[dict[str, Any]], Awaitable[None]]], Awaitable[None]]


class Service:
    """All four services: notes what it is sent, and answers as the test says."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.handler: Handler | None = None
        self.left = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        self.requests.append({"path": scope["raw_path"].decode(), "headers": headers, "body": body})
        watching = asyncio.create_task(self._watch(receive))
        if self.handler is not None:
            await self.handler(scope, send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})
        watching.cancel()

    def reset(self) -> None:
        self.requests.clear()
        self.handler = None
        self.left = asyncio.Event()

    async def _watch(self, receive) -> None:
        if (await receive())["type"] == "http.disconnect":
            self.left.set()

    @property
    def last(self) -> dict[str, str]:
        return dict(self.requests[-1]["headers"])


@dataclass
class Auth:
    tokens: dict[str, str] = field(default_factory=dict)

    async def resolve(self, key: str) -> ResolvedKey | None:
        return ResolvedKey(self.tokens[key], 600) if key in self.tokens else None

    async def recheck(self, asked: Asked) -> Standings:
        return Standings()


@contextlib.asynccontextmanager
async def idle(_app: FastAPI) -> AsyncIterator[None]:
    yield


@dataclass
class World:
    address: str
    service: Service
    auth: Auth
    signer: Signer
    http: httpx2.AsyncClient

    async def raw(self, request: bytes) -> bytes:
        parts = urlsplit(self.address)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(request)
        try:
            async with asyncio.timeout(5):
                return await reader.read()
        finally:
            writer.close()

    def key(self, *scopes: str) -> str:
        key = apikeys.make("test")
        claims = {"sub": str(uuid4()), "account": str(uuid4()), "role": "owner", "api_key": str(uuid4())}
        token = self.signer.sign(claims | {"scope": " ".join(scopes)}, audience=AUDIENCE, lifetime_s=600)
        self.auth.tokens[key] = token
        return key

    def token(self, account_id: UUID | None = None) -> dict[str, str]:
        return {"authorization": f"Bearer {self.signer.user_token(account_id=account_id or uuid4())}"}


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, proxy_headers=False, log_config=None, access_log=False, http="httptools", lifespan="off"
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110  # uvicorn says it no other way
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task


@contextlib.asynccontextmanager
async def running_world(*, anonymous: Allowance) -> AsyncIterator[World]:
    clock, auth, signer, service = SystemClock(), Auth(), Signer(issuer=ISSUER), Service()
    credentials = identity_parts(auth, signer, clock=clock).credentials
    services = Services()
    forwarder = forward.Forwarder(services, credentials, anonymous=Buckets(anonymous, clock=clock))
    addresses: dict[str, str] = {}
    router = forward.build_router(forwarder, services=addresses, rules=RULES)
    app = create_app(service="gateway", title="t", routers=[router], health=Health(live={}, ready={}), lifespan=idle)
    async with contextlib.AsyncExitStack() as stack:
        await services.start()
        stack.push_async_callback(services.stop)
        behind = await stack.enter_async_context(serving(service))
        addresses.update(dict.fromkeys(("auth", "billing", "ledger", "notifier"), behind))
        address = await stack.enter_async_context(serving(app))
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=address, timeout=10))
        yield World(address, service, auth, signer, http)
