"""The provider's routes that nobody pays for: counting tokens, and the models that are sold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateway.catalog.prices import PriceBooks
from gateway.dataplane.ask import named_model, parse_object
from gateway.dataplane.client import Client
from gateway.dataplane.messages import MOST_BODY_BYTES
from gateway.dataplane.upstream import Upstream, UpstreamError, UpstreamRequest
from gateway.errors import ModelApiError, overloaded, unavailable
from gateway.headers import Header, to_client
from gateway.identity.credentials import Credentials
from kit.clock import Clock

_MOST_ANSWER_BYTES: Final = 4 << 20
_OPERATORS_FAULT: Final = frozenset({401, 402})


@dataclass(frozen=True, slots=True)
class FreeRoutes:
    """Authenticated and bounded, but without admission; see `upstream.FREE`."""

    credentials: Credentials
    prices: PriceBooks
    upstream: Upstream
    clock: Clock

    async def count_tokens(self, client: Client) -> None:
        await self.credentials.of(client.headers)
        raw = await client.read_body(most_bytes=MOST_BODY_BYTES)
        self._check_sold(named_model(parse_object(raw)))
        await self._forward(client, path=client.path, route="/v1/messages/count_tokens", body=raw)

    async def model(self, client: Client) -> None:
        await self.credentials.of(client.headers)
        self._check_sold(client.path.removeprefix("/v1/models/"))
        await self._forward(client, path=client.path, route="/v1/models/{id}")

    async def models(self, client: Client) -> None:
        """The provider's list without what has no price: a model that is not sold should not be offered."""
        await self.credentials.of(client.headers)
        status, headers, body = await self._ask(client, path=client.path, route="/v1/models")
        if status == 200:
            body = _only(body, sold=self.prices.in_force(self.clock.now()).rates)
        await client.answer(status, headers, body)

    def _check_sold(self, model: str) -> None:
        if model not in self.prices.in_force(self.clock.now()).rates:
            raise ModelApiError(404, f"model: {model}")

    async def _forward(self, client: Client, *, path: str, route: str, body: bytes | None = None) -> None:
        status, headers, answer = await self._ask(client, path=path, route=route, body=body)
        await client.answer(status, headers, answer)

    async def _ask(
        self, client: Client, *, path: str, route: str, body: bytes | None = None
    ) -> tuple[int, list[Header], bytes]:
        request = UpstreamRequest(client.method, path, client.query, client.headers, body)
        try:
            async with self.upstream.free(request, route=route) as answer:
                if answer.status in _OPERATORS_FAULT:
                    raise unavailable("The provider refuses the gateway's own account.", retry_after_s=30)
                read = await answer.read_all(most_bytes=_MOST_ANSWER_BYTES)
                return answer.status, to_client(answer.headers), read
        except UpstreamError:
            raise overloaded("The provider does not answer; try again.") from None


def _only(body: bytes, *, sold: Mapping[str, Any]) -> bytes:
    try:
        page = orjson.loads(body)
        page["data"] = [entry for entry in page["data"] if entry["id"] in sold]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise overloaded("The provider's list of models cannot be read; try again.") from None
    return orjson.dumps(page)
