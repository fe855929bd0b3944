"""The request that goes to the provider; its head is made once per connection of a client."""

from typing import Final

from gateway.dataplane.exchange import Exchange
from gateway.dataplane.order import Order
from gateway.dataplane.upstream_request import UpstreamRequest
from gateway.headers import Header, to_provider
from gateway.routing.types import Target
from gateway.surfaces.types import Surface

# What a named tuple's own constructor calls; that one is written in Python.
_new: Final = tuple.__new__
_VERSION: Final[Header] = (b"anthropic-version", b"2023-06-01")


def request_for(order: Order, target: Target, body: bytes) -> UpstreamRequest:
    exchange, surface = order.exchange, order.surface
    facts, path = exchange.facts, surface.upstream_path
    if facts.target is target:
        return _new(UpstreamRequest, ("POST", path, b"", (), body, facts.upstream))
    query = exchange.query if path == exchange.path else b""
    request = UpstreamRequest("POST", path, query, _headers_for_provider(exchange, surface), body)
    facts.target, facts.upstream = target, request.head_of(target)
    return request


def _headers_for_provider(exchange: Exchange, surface: Surface) -> list[Header]:
    headers = to_provider(exchange.headers)
    if surface.upstream_path != exchange.path and exchange.header(_VERSION[0]) is None:
        # Who asks on another path than the provider's need not know what the provider demands.
        headers.append(_VERSION)
    return headers
