"""Stripe's API over HTTP: one request, one unit of work, one answer in Stripe's form."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from kit.clock import Clock
from sandbox.stripe import API_VERSION
from sandbox.stripe.authentication import check_headers
from sandbox.stripe.errors import ParameterError, StripeError
from sandbox.stripe.expansion import expand
from sandbox.stripe.forms import Branch, parse
from sandbox.stripe.idempotency import Claim, claim_for, find_answer
from sandbox.stripe.routes import find_route
from sandbox.stripe.routing import Route
from sandbox.stripe.settings import Settings
from sandbox.stripe.store import Answer, Store
from sandbox.stripe.switches import Switches
from sandbox.stripe.work import Origin, Work, new_id

FORM = "application/x-www-form-urlencoded"
MAX_BODY_BYTES = 1_000_000
REMEMBERED_REQUESTS = 1000


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """An API request as it came, and how it was answered: what a dashboard's request log shows."""

    request_id: str
    method: str
    path: str
    query: str
    body: str
    idempotency_key: str | None
    status: int
    replayed: bool

    def shown(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request whose sender is known and whose form is sound."""

    route: Route
    ident: str
    raw: Branch
    claim: Claim | None
    origin: Origin
    base_url: str


class Api:
    """Answers under /v1; everything it does to the store is committed before the answer leaves."""

    def __init__(self, store: Store, *, settings: Settings, clock: Clock, changed: Callable[[], None]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._changed = changed
        self.seen: deque[SeenRequest] = deque(maxlen=REMEMBERED_REQUESTS)

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        request_id = new_id("req", 14)
        try:
            answer = self._answer(request, body, request_id=request_id)
        except StripeError as refusal:
            self._store.rollback()
            answer = _refused(refusal, request_id=request_id)
        self._remember(request, body, answer, request_id=request_id)
        return _response(request, answer, request_id=request_id)

    def _answer(self, request: Request, body: bytes, *, request_id: str) -> Answer:
        ask = self._understand(request, body, request_id=request_id)
        if ask.claim and (stored := find_answer(self._store, ask.claim, now=self._now())):
            return stored
        params = ask.route.fields.read(ask.raw)
        try:
            answer = self._perform(ask, params, request_id=request_id)
        except StripeError as refusal:
            if not refusal.keeps_work:
                self._store.rollback()
            if not refusal.may_be_stored:
                raise
            answer = _refused(refusal, request_id=request_id)
        if ask.claim:
            stored = Answer(ask.claim.route, ask.claim.fingerprint, request_id, answer.status, answer.body)
            self._store.insert_answer(ask.claim.key, stored, created=self._now())
        self._store.commit()
        self._changed()
        return answer

    def _understand(self, request: Request, body: bytes, *, request_id: str) -> Ask:
        check_headers(request.headers, secret_key=self._settings.secret_key)
        path, key = request.scope["path"], request.headers.get("idempotency-key")
        route, ident = find_route(request.method, path)
        raw = _parameters(request, body)
        claim = claim_for(key, method=request.method, path=path, raw=raw)
        origin = Origin(request_id, key if claim else None)
        base_url = self._settings.public_url or str(request.base_url)
        return Ask(route, ident, raw, claim, origin, base_url.rstrip("/"))

    def _now(self) -> int:
        return int(self._clock.now().timestamp()) + Switches(self._store).ahead_s

    def _perform(self, ask: Ask, params: dict[str, Any], *, request_id: str) -> Answer:
        work = Work(self._store, clock=self._clock, base_url=ask.base_url, origin=ask.origin)
        result = ask.route.handler(work, ask.ident, params)
        shown = expand(work, result, params.get("expand", []))
        return _fresh(HTTPStatus.OK, shown, request_id=request_id)

    def _remember(self, request: Request, body: bytes, answer: Answer, *, request_id: str) -> None:
        self.seen.append(
            SeenRequest(
                request_id=request_id,
                method=request.method,
                path=request.scope["path"],
                query=request.url.query,
                body=body.decode(errors="replace"),
                idempotency_key=request.headers.get("idempotency-key"),
                status=answer.status,
                replayed=answer.request_id != request_id,
            )
        )


def _parameters(request: Request, body: bytes) -> Branch:
    if len(body) > MAX_BODY_BYTES:
        raise ParameterError("Invalid request: the body is too large.")
    content_type = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    if body and content_type != FORM:
        raise ParameterError(f"Invalid request (check that your POST content type is {FORM}).")
    try:
        form = body.decode()
    except UnicodeDecodeError as error:
        raise ParameterError("Invalid request: the body is not UTF-8.") from error
    return parse("&".join(part for part in (request.url.query, form) if part))


def _fresh(status: int, content: dict[str, Any], *, request_id: str) -> Answer:
    return Answer("", "", request_id, status, json.dumps(content, indent=2))


def _refused(refusal: StripeError, *, request_id: str) -> Answer:
    return _fresh(refusal.status, refusal.envelope(), request_id=request_id)


def _response(request: Request, answer: Answer, *, request_id: str) -> Response:
    headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
    if key := request.headers.get("idempotency-key"):
        headers["Idempotency-Key"] = key
    if answer.request_id != request_id:
        headers |= {"Idempotent-Replayed": "true", "Original-Request": answer.request_id}
    if answer.status == HTTPStatus.NOT_IMPLEMENTED:
        # The SDK repeats whatever is above 499; asking again would not teach us the route.
        headers["Stripe-Should-Retry"] = "false"
    return Response(answer.body, status_code=answer.status, headers=headers, media_type="application/json")
