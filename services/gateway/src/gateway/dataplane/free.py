"""The model API's routes that nobody pays for: counting tokens, the models that are sold, a sign of life."""

import math
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

import orjson

from gateway.admission.types import AccountTerms
from gateway.dataplane.errands import Errands
from gateway.dataplane.exchange import Exchange
from gateway.dataplane.faults import record_fault
from gateway.dataplane.front import ModelHandler
from gateway.dataplane.upstream import Upstream
from gateway.dataplane.upstream_request import UpstreamError, UpstreamRequest
from gateway.errors import ModelApiError, overloaded, unavailable
from gateway.headers import Header, to_client, to_provider
from gateway.identity.credential import Credential
from gateway.identity.credentials import Credentials
from gateway.identity.flood import Allowance, Buckets
from gateway.routing.routing import Routing
from gateway.surfaces.parsing import named_model, parse_object
from gateway.surfaces.refusals import domain_refusal
from gateway.surfaces.splice import spliced
from kit.clock import Clock
from kit.errors import DomainError
from kit.identity import check_may_write

COUNT_TOKENS: Final = ("POST", "/v1/messages/count_tokens")

_MOST_ANSWER_BYTES: Final = 4 << 20
_FREE_PER_MINUTE: Final = 2_000
_OPERATORS_FAULT: Final = frozenset({401, 402, 403, 429})
_MODELS: Final = "/v1/models/"
_JSON: Final[list[Header]] = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


class Terms(Protocol):
    """The part of admission that knows accounts."""

    def terms_of(self, account_id: UUID) -> AccountTerms | None: ...

    async def learn_terms(self, account_id: UUID) -> AccountTerms: ...


class AccountRate:
    """Bounds what is free, per account and process; raises `ModelApiError` with 429."""

    def __init__(self, *, clock: Clock, per_minute: int = _FREE_PER_MINUTE) -> None:
        self._per_minute = per_minute
        self._buckets = Buckets(Allowance(burst=per_minute, per_s=per_minute / 60), clock=clock)

    def check(self, account_id: UUID) -> None:
        name = str(account_id)
        if (wait_s := self._buckets.wait_s(name)) > 0:
            raise ModelApiError(
                429,
                f"Tokens can be counted {self._per_minute} times a minute; try again.",
                headers={"retry-after": str(math.ceil(wait_s))},
            )
        self._buckets.take(name)


@dataclass(frozen=True, slots=True)
class FreeRoutes:
    """Authenticated and bounded, but without admission; see `upstream.FREE`."""

    credentials: Credentials
    admission: Terms
    routing: Routing
    upstream: Upstream
    rate: AccountRate
    errands: Errands

    def table(self) -> dict[tuple[str, str], ModelHandler]:
        """Which route each of them answers."""
        return {
            COUNT_TOKENS: self.count_tokens,
            ("GET", "/v1/models"): self.models,
            ("GET", "/v1/models/{id}"): self.model,
            ("HEAD", "/api/hello"): self.hello,
            ("GET", "/api/hello"): self.hello,
        }

    def count_tokens(self, exchange: Exchange) -> None:
        self._run(exchange, self._count_tokens)

    def models(self, exchange: Exchange) -> None:
        """What the caller's plan may use, in the shape of both vendors."""
        self._run(exchange, self._models)

    def model(self, exchange: Exchange) -> None:
        self._run(exchange, self._model)

    def hello(self, exchange: Exchange) -> None:
        """Clients ask whether anybody is there, without a credential."""
        exchange.answer(200, [*_JSON, *_named(exchange)], b"{}")

    def _run(self, exchange: Exchange, work: Callable[[Exchange], Coroutine[Any, Any, None]]) -> None:
        self.errands.run(_answered(exchange, work(exchange)))

    async def _who(self, exchange: Exchange, route: str, *models: str) -> tuple[Credential, AccountTerms]:
        credential = await self.credentials.of(exchange.headers, peer=exchange.peer)
        credential.check(route, *models)
        account_id = credential.caller.account_id
        terms = self.admission.terms_of(account_id) or await self.admission.learn_terms(account_id)
        return credential, terms

    async def _count_tokens(self, exchange: Exchange) -> None:
        asked = parse_object(exchange.body)
        model = named_model(asked)
        credential, terms = await self._who(exchange, COUNT_TOKENS[1], model)
        check_may_write(credential.caller)
        choice = self.routing.choose(model, kind="anthropic", terms=terms, conversation=b"")
        self.rate.check(credential.caller.account_id)
        target = choice.targets[0]
        body = exchange.body
        if (name := choice.spliced_for(target)) is not None:
            body = spliced(body, {"model": orjson.dumps(name)}, present=asked)
        request = UpstreamRequest(*COUNT_TOKENS, exchange.query, to_provider(exchange.headers), body)
        try:
            answer = await self.upstream.free(target, request, route=COUNT_TOKENS, most_bytes=_MOST_ANSWER_BYTES)
        except UpstreamError:
            self.routing.report(target, "failed")
            raise overloaded("The provider does not answer; try again.") from None
        if answer.status in _OPERATORS_FAULT:
            raise unavailable("The provider refuses the gateway's own account.", retry_after_s=30)
        ours = (b"faregate-request-id", exchange.request_id.encode())
        exchange.answer(answer.status, [*to_client(answer.headers), ours], answer.body)

    async def _models(self, exchange: Exchange) -> None:
        credential, terms = await self._who(exchange, "/v1/models")
        found = [one for one in self.routing.models(None, terms) if credential.scopes.allow_model(one["id"])]
        page = {
            "object": "list",
            "data": found,
            "has_more": False,
            "first_id": found[0]["id"] if found else None,
            "last_id": found[-1]["id"] if found else None,
        }
        _answer_json(exchange, page)

    async def _model(self, exchange: Exchange) -> None:
        name = exchange.path.removeprefix(_MODELS)
        _, terms = await self._who(exchange, "/v1/models", name)
        _answer_json(exchange, self.routing.model(name, None, terms))


def _answer_json(exchange: Exchange, content: object) -> None:
    exchange.answer(200, [*_JSON, *_named(exchange)], orjson.dumps(content))


def _named(exchange: Exchange) -> list[Header]:
    request_id = exchange.request_id.encode()
    return [(b"request-id", request_id), (b"faregate-request-id", request_id)]


async def _answered(exchange: Exchange, work: Awaitable[None]) -> None:
    """Every request gets one answer, whatever happens."""
    try:
        await work
    except ModelApiError as error:
        exchange.refuse(error)
    except DomainError as error:
        exchange.refuse(domain_refusal(error))
    except Exception as error:  # noqa: BLE001  # nobody above could answer the client
        record_fault("gateway.request_died", error, path=exchange.path)
        exchange.refuse(ModelApiError(500, "Something went wrong on our side; it has been recorded."))
