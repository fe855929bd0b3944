"""The model API over raw ASGI; everything else is handed on to the ordinary app."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from uuid import uuid4

from starlette.types import ASGIApp

from gateway import metrics
from gateway.dataplane.client import Client, ClientGoneError, Receive, Scope, Send
from gateway.dataplane.free import FreeRoutes
from gateway.dataplane.messages import MessagesRoute
from gateway.dataplane.refusals import domain_refusal
from gateway.dataplane.upstream import FREE, PAID
from gateway.errors import ModelApiError
from kit.errors import DomainError

Handler = Callable[[Client], Awaitable[None]]

_MODEL_PREFIX: Final = "/v1/models/"


class UndeclaredRouteError(RuntimeError):
    """A route of the model API is neither paid for nor declared free."""


class ModelApi:
    """Answers the provider's own routes.

    Its table must be exactly what `upstream` declares, so that a new route has to say who pays for it.
    """

    def __init__(self, routes: Mapping[tuple[str, str], Handler], *, otherwise: ASGIApp) -> None:
        if set(routes) != PAID | set(FREE):
            raise UndeclaredRouteError(str(sorted(set(routes) ^ (PAID | set(FREE)))))
        if any(isinstance(routes[paid], MessagesRoute) is False for paid in PAID):
            raise UndeclaredRouteError("a paid route without admission")
        self._by_path: dict[str, dict[str, Handler]] = {}
        for (method, path), handler in routes.items():
            self._by_path.setdefault(path, {})[method] = handler
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            methods = self._methods_of(scope["path"])
            if methods is not None:
                request_id = f"req_{uuid4().hex}"
                # For the answer to what nobody foresaw, which is given further out.
                scope.setdefault("state", {})["request_id"] = request_id
                await self._answer(Client(scope, receive, send, request_id=request_id), methods)
                return
        await self._otherwise(scope, receive, send)

    def _methods_of(self, path: str) -> Mapping[str, Handler] | None:
        if path.startswith(_MODEL_PREFIX) and len(path) > len(_MODEL_PREFIX):
            return self._by_path[f"{_MODEL_PREFIX}{{id}}"]
        return self._by_path.get(path)

    async def _answer(self, client: Client, methods: Mapping[str, Handler]) -> None:
        try:
            await _handler_of(methods, client.method)(client)
        except ModelApiError as error:
            await self._refuse(client, error)
        except DomainError as error:
            await self._refuse(client, domain_refusal(error))
        except ClientGoneError:
            metrics.CALLS_REFUSED.labels("client_gone").inc()

    @staticmethod
    async def _refuse(client: Client, error: ModelApiError) -> None:
        metrics.CALLS_REFUSED.labels(error.error_type).inc()
        await client.refuse(error)


def _handler_of(methods: Mapping[str, Handler], method: str) -> Handler:
    if method not in methods:
        allowed = ", ".join(methods)
        raise ModelApiError(405, f"Method not allowed; use {allowed}", headers={"allow": allowed})
    return methods[method]


def routes_of(messages: MessagesRoute, free: FreeRoutes) -> dict[tuple[str, str], Handler]:
    return {
        ("POST", "/v1/messages"): messages,
        ("POST", "/v1/messages/count_tokens"): free.count_tokens,
        ("GET", "/v1/models"): free.models,
        ("GET", "/v1/models/{id}"): free.model,
    }
