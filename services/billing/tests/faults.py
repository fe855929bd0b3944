"""A way to Stripe that fails where it is told to: before a request leaves, after its effect, or by an answer."""

from collections.abc import Callable, Collection
from typing import Any, Literal

import httpx
import pytest
import stripe

from billing.adapters.stripe_api import TIMEOUT_S

Fault = Literal["cut before", "cut after", "429", "409", "500 without effect", "500 with effect", "slow"]
FAULTS: tuple[Fault, ...] = (
    "cut before",
    "cut after",
    "429",
    "409",
    "500 without effect",
    "500 with effect",
    "slow",
)


USUAL: tuple[Fault, ...] = ("cut before", "cut after")
SOME_OR_ALL = [fault if fault in USUAL else pytest.param(fault, marks=pytest.mark.proof) for fault in FAULTS]
"""One that loses the request and one that loses the answer each time; all of them among the proofs."""


class FaultyTransport(httpx.AsyncBaseTransport):
    """Each call that `strikes` picks out meets the fault; the others reach Stripe."""

    def __init__(self, fault: Fault, strikes: Callable[[int, httpx.Request], bool]) -> None:
        # The stand-in speaks no TLS: reading the certificates of the world would take longer than the test.
        self._inner = httpx.AsyncHTTPTransport(verify=False)
        self._fault = fault
        self._strikes = strikes
        self.calls = 0
        self.struck: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        number, self.calls = self.calls, self.calls + 1
        if not self._strikes(number, request):
            return await self._inner.handle_async_request(request)
        self.struck.append(f"{request.method} {request.url.path}")
        return await self._struck(request)

    async def _struck(self, request: httpx.Request) -> httpx.Response:
        match self._fault:
            case "cut before":
                raise httpx.ConnectError("cut before the request left", request=request)
            case "429" | "409":
                return _answer(int(self._fault), request)
            case "500 without effect":
                return _answer(500, request)
        answer = await self._inner.handle_async_request(request)
        await answer.aread()
        match self._fault:
            case "cut after":
                raise httpx.ReadError("cut after the request", request=request)
            case "slow":
                raise httpx.ReadTimeout("no answer in time", request=request)
        return _answer(500, request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class FaultyWay(stripe.HTTPXClient):
    """The SDK's own client over the faulty transport, which its constructor has no argument for."""

    def __init__(self, transport: FaultyTransport) -> None:
        super().__init__(timeout=TIMEOUT_S, verify_ssl_certs=False)
        self._client_async = httpx.AsyncClient(transport=transport)


def _answer(status: int, request: httpx.Request) -> httpx.Response:
    body: dict[str, Any] = {"error": {"type": "api_error", "message": "a fault"}}
    if status == 429:
        body["error"] |= {"type": "invalid_request_error", "code": "rate_limit"}
    return httpx.Response(status, json=body, request=request)


def on_call(number: int) -> Callable[[int, httpx.Request], bool]:
    """The call of this number, once."""
    return lambda count, _: count == number


def on_calls(numbers: Collection[int]) -> Callable[[int, httpx.Request], bool]:
    """The calls of these numbers, counted over the transport's whole life."""
    return lambda count, _: count in numbers


def on_path(path: str, *, times: int = 1) -> Callable[[int, httpx.Request], bool]:
    """The first calls to an address."""
    left = [times]

    def strikes(_: int, request: httpx.Request) -> bool:
        if request.url.path != path or left[0] == 0:
            return False
        left[0] -= 1
        return True

    return strikes
