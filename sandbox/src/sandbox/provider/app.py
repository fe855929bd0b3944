"""The stand-in provider's routes, over raw ASGI."""

import hmac
from collections.abc import Awaitable, Callable, Mapping

from sandbox.provider.calls import CallLog
from sandbox.provider.errors import ApiError
from sandbox.provider.exchange import ClientGoneError, Exchange, Receive, Scope, Send, new_id
from sandbox.provider.models import model_named, page_of_models
from sandbox.provider.openai import routes as openai
from sandbox.provider.openai.errors import as_openai, headers_of
from sandbox.provider.openai.models import known, list_of_models
from sandbox.provider.reply import reply_to
from sandbox.provider.request import CountBody, MessageBody, checked_version, known_model, parse_body, prompt_of
from sandbox.provider.scenario import HEADERS, scenario_of
from sandbox.provider.stream import play_message, play_stream

_Handler = Callable[[Exchange], Awaitable[None]]


class ProviderApp:
    """Anthropic's and OpenAI's APIs as far as Faregate uses them, answered by a script instead of a model."""

    def __init__(self, *, api_key: str) -> None:
        self._api_key = api_key.encode()
        self._log = CallLog()
        self._routes: Mapping[str, Mapping[str, _Handler]] = {
            "/v1/messages": {"POST": self._messages},
            "/v1/messages/count_tokens": {"POST": self._count_tokens},
            "/v1/models": {"GET": self._models},
            "/v1/chat/completions": {"POST": openai.chat_completions},
            "/v1/responses": {"POST": openai.create_response},
            "/v1/embeddings": {"POST": openai.create_embeddings},
            "/api/hello": {"HEAD": self._hello, "GET": self._hello},
            "/health/live": {"GET": self._live},
            "/sandbox/calls": {"GET": self._list_calls, "DELETE": self._forget_calls},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send, log=self._log)
        try:
            await self._answer(exchange)
        except ClientGoneError:
            exchange.ended("client_gone")
        finally:
            exchange.close()

    async def _answer(self, exchange: Exchange) -> None:
        speaks_openai = _speaks_openai(exchange)
        if speaks_openai:
            exchange.house_headers = headers_of
        try:
            if exchange.path.startswith("/v1/"):
                exchange.record()
                self._authenticate(exchange.headers)
            await self._handler(exchange)(exchange)
        except ApiError as error:
            await exchange.refuse(as_openai(error) if speaks_openai else error)

    def _handler(self, exchange: Exchange) -> _Handler:
        by_method = self._routes.get(exchange.path) or self._prefixed(exchange.path)
        if not by_method:
            raise ApiError(404)
        if exchange.method not in by_method:
            raise ApiError(405, headers={"allow": ", ".join(by_method)})
        return by_method[exchange.method]

    def _prefixed(self, path: str) -> Mapping[str, _Handler]:
        if path.startswith("/v1/models/"):
            return {"GET": self._model}
        if path.startswith("/sandbox/calls/") and path.endswith("/bytes"):
            return {"GET": self._call_bytes}
        return {}

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        key = headers.get("x-api-key")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if key is None and not token:
            raise ApiError(401, "x-api-key header is required")
        if key is not None and not self._is_ours(key):
            raise ApiError(401, "invalid x-api-key")
        if token and (scheme.lower() != "bearer" or not self._is_ours(token)):
            raise ApiError(401, "Invalid bearer token")

    def _is_ours(self, credential: str) -> bool:
        return hmac.compare_digest(credential.encode(), self._api_key)

    async def _messages(self, exchange: Exchange) -> None:
        version = checked_version(exchange.headers)
        body = parse_body(await exchange.read_body(), shape=MessageBody, version=version)
        model, suffix = known_model(body)
        scenario = scenario_of(exchange.headers, suffix=suffix)
        reply = reply_to(body, prompt=prompt_of(body), scenario=scenario, message_id=new_id("msg"))
        if exchange.call is not None:
            exchange.call.model, exchange.call.stream = model.id, body.stream
            exchange.call.scenario = ";".join(filter(None, (suffix, *map(exchange.headers.get, HEADERS))))
            exchange.call.usage_if_finished = reply.usage
        if error := scenario.refusal():
            await exchange.pause(scenario.first_byte_ms / 1000)
            raise error
        play = play_stream if body.stream else play_message
        await play(exchange, reply, scenario=scenario)

    async def _count_tokens(self, exchange: Exchange) -> None:
        version = checked_version(exchange.headers)
        body = parse_body(await exchange.read_body(), shape=CountBody, version=version)
        _, suffix = known_model(body)
        scenario = scenario_of(exchange.headers, suffix=suffix)
        if error := scenario.refusal():
            raise error
        tokens = prompt_of(body).input_tokens if scenario.input_tokens is None else scenario.input_tokens
        await exchange.answer({"input_tokens": tokens})

    async def _models(self, exchange: Exchange) -> None:
        if _speaks_openai(exchange):
            await exchange.answer(list_of_models())
            return
        checked_version(exchange.headers)
        await exchange.answer(page_of_models(exchange.query))

    async def _model(self, exchange: Exchange) -> None:
        name = exchange.path.removeprefix("/v1/models/")
        if _speaks_openai(exchange):
            await exchange.answer(known(name).entry())
            return
        checked_version(exchange.headers)
        await exchange.answer(model_named(name).entry())

    async def _hello(self, exchange: Exchange) -> None:
        await exchange.answer({"message": "hello"})

    async def _live(self, exchange: Exchange) -> None:
        await exchange.answer({"status": "live"})

    async def _list_calls(self, exchange: Exchange) -> None:
        limit = exchange.query.get("limit", "100")
        if not limit.isdecimal():
            raise ApiError(400, "limit: Input should be a valid integer")
        await exchange.answer([call.as_json() for call in self._log.newest(int(limit))])

    async def _forget_calls(self, exchange: Exchange) -> None:
        self._log.clear()
        await exchange.answer({"forgotten": True})

    async def _call_bytes(self, exchange: Exchange) -> None:
        request_id = exchange.path.removeprefix("/sandbox/calls/").removesuffix("/bytes")
        body = self._log.find_bytes(request_id)
        if body is None:
            raise ApiError(404, f"no bytes are kept of {request_id}")
        await exchange.answer_bytes(body, status=200, content_type="application/octet-stream")


def _speaks_openai(exchange: Exchange) -> bool:
    """Both vendors have `/v1/models`; only one of them asks for a version."""
    path = exchange.path
    if path == "/v1/models" or path.startswith("/v1/models/"):
        return "anthropic-version" not in exchange.headers and "x-api-key" not in exchange.headers
    return path in openai.PATHS
