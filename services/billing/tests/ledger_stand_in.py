"""Stands where auth and the ledger are: gives service tokens, and says what accounts have left."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from kit.testing import Signer


@dataclass
class Books:
    """Balances by account, in nano-credits; an account that is not here has plenty."""

    url: str = ""
    left_nano: dict[str, int] = field(default_factory=dict)
    jwks: dict[str, Any] = field(default_factory=dict)

    def set(self, account_id: UUID, left_nano: int) -> None:
        self.left_nano[str(account_id)] = left_nano

    async def token(self, request: Request) -> JSONResponse:
        return JSONResponse({"access_token": "a-token", "expires_in": 3600})

    async def keys(self, request: Request) -> JSONResponse:
        return JSONResponse(self.jwks)

    async def snapshot(self, request: Request) -> JSONResponse:
        left_nano = self.left_nano.get(request.path_params["account_id"], 10**15)
        part = {
            "slice_id": "0199f3a0-0000-7000-8000-00000000000a",
            "unit": "credit",
            "amount": str(max(0, left_nano)),
            "starts_at": "2020-01-01T00:00:00Z",
        }
        body: dict[str, Any] = {"slices": [part]}
        # As the ledger does: what has the contract's default is left out.
        return JSONResponse(body if left_nano >= 0 else {**body, "debt_nano": str(-left_nano)})


@asynccontextmanager
async def kept_books(signer: Signer | None = None) -> AsyncIterator[Books]:
    """`signer` is whose tokens a process that asks auth for its keys shall take."""
    books = Books(jwks=signer.jwks() if signer else {})
    routes = [
        Route("/internal/service-tokens", books.token, methods=["POST"]),
        Route("/auth/jwks.json", books.keys, methods=["GET"]),
        Route("/internal/accounts/{account_id}/snapshot", books.snapshot, methods=["POST"]),
    ]
    listener = socket.create_server(("127.0.0.1", 0))
    books.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, access_log=False))
    server.install_signal_handlers = lambda: None  # pytest keeps its own
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield books
    finally:
        server.should_exit = True
        await task
        listener.close()
