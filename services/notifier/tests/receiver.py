"""A customer's endpoint over real HTTP, which keeps what it gets and answers as a test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from services.notifier.tests.stand_in_auth import free_socket
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@dataclass(frozen=True)
class Got:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """The body, proved to come from who knows the secret; raises when it does not."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """Answers `status`, with `location` when that is a redirect."""

    url: str
    status: int = 200
    location: str | None = None
    got: list[Got] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        self.got.append(Got(dict(request.headers), await request.body()))
        return Response("x" * 1_000, self.status, {"location": self.location} if self.location else None)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    with free_socket() as listening:
        receiver = Receiver(f"http://127.0.0.1:{listening.getsockname()[1]}")
        app = Starlette(routes=[Route("/{path:path}", receiver.answer, methods=["POST", "GET"])])
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield receiver
        finally:
            server.should_exit = True
            await task
