"""What the gateway hands on to the services; paths stay as they are, `/internal` is not among them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from gateway.adapters.services import Bounds, ServiceAnswer, Services
from gateway.headers import Header, to_service
from gateway.identity.credentials import Credentials
from gateway.identity.flood import Buckets, SharedLimit, network_of, shared_wait_s, too_many
from gateway.identity.presented import is_api_key, presented_credential
from kit.errors import DomainError, UnauthenticatedError

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_CREDENTIAL_HEADERS: Final = frozenset({b"authorization", b"x-api-key"})
# Besides what `to_service` takes away: where others say who the client is, or that another request is meant.
_CLAIMS: Final = frozenset({
    b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip", b"cf-connecting-ip", b"x-original-url", b"x-rewrite-url",
    b"x-original-host", b"x-host", b"x-http-method", b"x-http-method-override", b"x-method-override",
})  # fmt: skip
_CLAIM_PREFIXES: Final = (b"x-user", b"x-account", b"x-faregate-", b"faregate-", b"x-forwarded-", b"x-remote-")
# No encoded slash, backslash, dot, percent sign or control character: nothing that could be read as another path.
_SAFE_PATH: Final = re.compile(
    rb"(?:/(?!\.{1,2}(?:/|\Z))(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%(?!2[EeFf5]|5[Cc]|7[Ff])[2-7][0-9A-Fa-f])+)+/?"
)
_SAFE_QUERY: Final = re.compile(rb"[!-\"$-~]*")

_ORDINARY: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Rule:
    """Where a path goes and within which bounds.

    `exchange_key`: an API key is exchanged for its access token; elsewhere it ends here, for no service wants it.
    `anonymous`: whoever comes without a credential is counted by address.
    """

    path: str
    service: str
    methods: tuple[str, ...] = _METHODS
    bounds: Bounds = _ORDINARY
    exchange_key: bool = False
    anonymous: bool = False


RULES: Final = (
    Rule("/.well-known/oauth-authorization-server", "auth", methods=("GET", "HEAD"), anonymous=True),
    Rule("/.well-known/openid-configuration", "auth", methods=("GET", "HEAD"), anonymous=True),
    Rule("/login", "auth", methods=("POST",), anonymous=True),
    Rule("/auth/{rest:path}", "auth", anonymous=True),
    Rule("/register", "auth", methods=("POST",), anonymous=True),
    Rule("/api/auth/{verb}", "auth", methods=("POST",), anonymous=True),
    Rule("/billing/{rest:path}", "billing", bounds=Bounds(total_s=60.0)),
    *(
        Rule(path, "billing", bounds=Bounds(total_s=60.0))
        for path in (
            "/api/billing/checkout",
            "/api/stripe/create-checkout-session",
            "/api/stripe/create-portal-session",
            "/api/stripe/webhook",
        )
    ),
    Rule("/ledger/{rest:path}", "ledger", exchange_key=True),
    Rule("/notifications", "notifier"),
    Rule("/notifications/{rest:path}", "notifier"),
    Rule("/v1/requests", "ledger", methods=("GET",), exchange_key=True),
    Rule("/v1/requests/{request_id}", "ledger", methods=("GET",), exchange_key=True),
    Rule("/notifier/openapi.json", "notifier", methods=("GET",)),
    Rule("/notifier/docs", "notifier", methods=("GET",)),
)


class Forwarder:
    """Sends a request on as it came, but for what only the gateway may say."""

    def __init__(
        self,
        services: Services,
        credentials: Credentials,
        *,
        anonymous: Buckets,
        shared: SharedLimit | None = None,
    ) -> None:
        self._services = services
        self._credentials = credentials
        self._anonymous = anonymous
        self._shared = shared

    async def forward(self, request: Request, base_url: str, *, rule: Rule) -> Response:
        target = _safe_target(request)
        peer = request.client.host if request.client else ""
        headers = _unclaimed(request.headers.raw)
        if rule.service != "auth":
            # Cookies sign people in on auth's own pages; no other service takes them for anything.
            headers = [pair for pair in headers if pair[0] != b"cookie"]
        if rule.anonymous:
            await self._count_anonymous(headers, peer)
        headers = await self._for_service(headers, peer, rule=rule, path=request.url.path)
        if peer:
            headers.append((b"x-forwarded-for", peer.encode()))
        answer = await self._services.ask(
            request.method, base_url + target, headers=headers, body=await request.body(), bounds=rule.bounds
        )
        return _response(answer, method=request.method)

    async def _for_service(self, headers: list[Header], peer: str, *, rule: Rule, path: str) -> list[Header]:
        """An API key does not travel on: its short access token goes in its place, or nothing."""
        if not any(name in _CREDENTIAL_HEADERS for name, _ in headers):
            return headers
        kept = [pair for pair in headers if pair[0] not in _CREDENTIAL_HEADERS]
        if not rule.exchange_key:
            return kept if _carries_key(headers) else headers
        token = presented_credential(headers)
        if is_api_key(token):
            credential = await self._credentials.of(headers, peer=peer)
            credential.check(path)
            token = credential.access_token.encode()
        return [*kept, (b"authorization", b"Bearer " + token)]

    async def _count_anonymous(self, headers: list[Header], peer: str) -> None:
        """Raises `TooManyRequestsError`; a credential that cannot be verified is like none."""
        try:
            await self._credentials.of(headers, peer=peer)
        except DomainError:
            network = network_of(peer)
            wait_s = self._anonymous.wait_s(network) or await shared_wait_s(self._shared, network, kind="auth_route")
            if wait_s:
                raise too_many(wait_s) from None
            self._anonymous.take(network)


def build_router(forwarder: Forwarder, *, services: Mapping[str, str], rules: Sequence[Rule] = RULES) -> APIRouter:
    """`services` maps auth, billing, ledger and notifier to their addresses."""
    router = APIRouter()

    def add(rule: Rule) -> None:
        async def handler(request: Request) -> Response:
            return await forwarder.forward(request, services[rule.service], rule=rule)

        methods = list(rule.methods)
        router.add_api_route(rule.path, handler, methods=methods, include_in_schema=False, response_model=None)

    for rule in rules:
        add(rule)
    return router


def _safe_target(request: Request) -> str:
    """Path and query as they came; a path that another server could read as a different one is not found."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    if _SAFE_PATH.fullmatch(raw) is None:
        raise HTTPException(404, "Not found.")
    if _SAFE_QUERY.fullmatch(query) is None:
        raise HTTPException(400, "The query holds characters that must be percent-encoded.")
    return (raw + (b"?" + query if query else b"")).decode("ascii")


def _unclaimed(headers: list[Header]) -> list[Header]:
    """What the client may say; underscores are hyphens to some servers, so they are here."""
    passed = to_service(headers)
    named = [(name.replace(b"_", b"-"), name, value) for name, value in passed]
    return [
        (name, value) for meant, name, value in named if meant not in _CLAIMS and not meant.startswith(_CLAIM_PREFIXES)
    ]


def _carries_key(headers: list[Header]) -> bool:
    try:
        return is_api_key(presented_credential(headers))
    except UnauthenticatedError:
        # Several different ones, or another scheme: a key of ours may be among them.
        return any(b"fg_" in value for name, value in headers if name in _CREDENTIAL_HEADERS)


def _response(answer: ServiceAnswer, *, method: str) -> Response:
    length = [] if answer.length is None else [(b"content-length", str(answer.length).encode())]
    if method == "HEAD" or answer.length == 0:
        answer.close()
        response = Response(b"", answer.status)
    else:
        response = StreamingResponse(answer.parts(), answer.status)
    response.raw_headers = [*((name.lower(), value) for name, value in answer.headers), *length]
    return response
