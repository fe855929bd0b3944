"""Auth's internal routes over real HTTP, with people that a test names, and billing's for the pages of payments."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID, uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SECRET = "notifier-secret"
TOKEN = "service-token-for-the-tests"


class StandInAuth:
    """Answers as auth does; `away` makes every answer a 503, `gate` holds recipients back until it is set."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.away = False
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._members: dict[tuple[UUID, str], list[dict[str, str]]] = {}
        self._messages: dict[UUID, dict[str, str | None]] = {}
        self.payment_pages: dict[str, str] = {}

    def account(self, *addresses: str, locale: str = "en") -> UUID:
        """An account whose owners have these addresses."""
        account_id = uuid4()
        for address in addresses:
            self.join(account_id, address, role="owner", locale=locale)
        return account_id

    def join(self, account_id: UUID, address: str, *, role: str, locale: str = "en") -> UUID:
        """A new member of an account."""
        user_id = uuid4()
        member = {"user_id": str(user_id), "address": address, "locale": locale}
        self._members.setdefault((account_id, role), []).append(member)
        return user_id

    def owner(self, account_id: UUID) -> UUID:
        """The first owner of an account."""
        return UUID(self._members[account_id, "owner"][0]["user_id"])

    def message(self, address: str, *, kind: str = "verify-email", link: str | None = None, locale: str = "en") -> UUID:
        message_id = uuid4()
        self._messages[message_id] = {
            "kind": kind,
            "user_id": str(uuid4()),
            "address": address,
            "link": link,
            "locale": locale,
        }
        return message_id

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/internal/service-tokens", self._issue, methods=["POST"]),
                Route("/internal/accounts/{id:uuid}/recipients", self._recipients),
                Route("/internal/messages/{id:uuid}", self._message),
                Route("/internal/accounts/{id:uuid}/payments/{payment}/page", self._page),
            ]
        )

    async def _issue(self, request: Request) -> Response:
        body = await request.json()
        if self.away:
            return Response(status_code=503)
        if body.pop("audience") not in ("auth", "billing") or body != {"service": "notifier", "secret": SECRET}:
            return Response(status_code=401)
        return JSONResponse({"access_token": TOKEN, "expires_in": 300})

    async def _recipients(self, request: Request) -> Response:
        self.asked += 1
        await self.gate.wait()
        if (refusal := self._refusal(request)) is not None:
            return refusal
        members = self._members.get((request.path_params["id"], request.query_params["role"]), [])
        return JSONResponse({"recipients": members})

    async def _message(self, request: Request) -> Response:
        self.asked += 1
        if (refusal := self._refusal(request)) is not None:
            return refusal
        message = self._messages.get(request.path_params["id"])
        return Response(status_code=404) if message is None else JSONResponse(message)

    async def _page(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        return JSONResponse({"url": self.payment_pages.get(request.path_params["payment"])})

    def _refusal(self, request: Request) -> Response | None:
        if self.away:
            return Response(status_code=503)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Response(status_code=401)
        return None


@contextmanager
def free_socket(*, listens: bool = True) -> Iterator[socket.socket]:
    """A socket on a free port; who connects before its server is up waits."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if listens:
            listening.listen()
        yield listening


@asynccontextmanager
async def serving() -> AsyncIterator[StandInAuth]:
    """The stand-in on a free port."""
    with free_socket() as listening:
        auth = StandInAuth(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(auth.app(), log_config=None, access_log=False, lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield auth
        finally:
            auth.gate.set()
            server.should_exit = True
            await task
