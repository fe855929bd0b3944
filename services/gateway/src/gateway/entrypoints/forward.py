"""What the gateway hands on to the services; paths stay as they are, `/internal` is not among them."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from gateway.adapters.services import ServiceAnswer, Services
from gateway.headers import Header, first, to_service
from gateway.identity.credentials import Credentials, is_api_key, presented_credential

_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_CREDENTIAL_HEADERS: Final = frozenset({b"authorization", b"x-api-key"})


class Forwarder:
    """Sends a request on as it came, but for what only the gateway may say."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._services = services
        self._credentials = credentials

    async def forward(self, request: Request, base_url: str, *, exchange_key: bool = False) -> Response:
        path = _safe_path(request)
        headers = to_service(request.headers.raw)
        if exchange_key:
            headers = await self._with_token(headers)
        if request.client is not None:
            headers.append((b"x-forwarded-for", request.client.host.encode()))
        query = request.scope["query_string"].decode("latin-1")
        answer = await self._services.ask(
            request.method,
            f"{base_url}{path}{'?' if query else ''}{query}",
            headers=headers,
            body=await request.body(),
        )
        return _response(answer, method=request.method)

    async def _with_token(self, headers: list[Header]) -> list[Header]:
        """An API key does not travel on: its short access token goes in its place."""
        if not any(first(headers, name) for name in _CREDENTIAL_HEADERS):
            return headers
        credential = presented_credential(headers)
        token = credential
        if is_api_key(credential):
            token = (await self._credentials.of(headers)).access_token
        kept = [pair for pair in headers if pair[0].lower() not in _CREDENTIAL_HEADERS]
        return [*kept, (b"authorization", b"Bearer " + token.encode("latin-1", "replace"))]


def build_router(forwarder: Forwarder, *, services: Mapping[str, str]) -> APIRouter:
    """`services` maps auth, billing, ledger and notifier to their addresses."""
    router = APIRouter()

    def add(path: str, service: str, *, methods: list[str] = _METHODS, exchange_key: bool = False) -> None:
        async def handler(request: Request) -> Response:
            return await forwarder.forward(request, services[service], exchange_key=exchange_key)

        router.add_api_route(path, handler, methods=methods, include_in_schema=False, response_model=None)

    add("/auth/{rest:path}", "auth")
    add("/billing/{rest:path}", "billing")
    add("/ledger/{rest:path}", "ledger", exchange_key=True)
    add("/notifications", "notifier")
    add("/notifications/{rest:path}", "notifier")
    add("/v1/requests", "ledger", methods=["GET"], exchange_key=True)
    add("/v1/requests/{request_id}", "ledger", methods=["GET"], exchange_key=True)
    add("/notifier/openapi.json", "notifier", methods=["GET"])
    add("/notifier/docs", "notifier", methods=["GET"])
    return router


def _safe_path(request: Request) -> str:
    """The path as it came; one that another server could read as a different path is not found."""
    decoded: str = request.scope["path"]
    segments = decoded.split("/")
    if ".." in segments or "." in segments or "" in segments[1:-1] or "\\" in decoded or not decoded.isprintable():
        raise HTTPException(404, "Not found.")
    raw: Any = request.scope.get("raw_path") or decoded.encode()
    return str(raw.decode("latin-1"))


def _response(answer: ServiceAnswer, *, method: str) -> Response:
    response = Response(b"" if method == "HEAD" else answer.body, answer.status)
    length = [] if answer.status in {204, 304} else [(b"content-length", str(len(answer.body)).encode())]
    response.raw_headers = [*((name.lower(), value) for name, value in answer.headers), *length]
    return response
