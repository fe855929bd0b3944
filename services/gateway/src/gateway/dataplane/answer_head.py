"""The head of an answer that a provider gave: its headers for the client, and ours."""

from typing import Final

from gateway.dataplane.order import Order
from gateway.headers import Header, to_client
from gateway.surfaces.limit_headers import LimitHeaders

_PASSING: Final = frozenset({503, 529})


def headers_for_client(
    order: Order, given: list[Header], *, limits: LimitHeaders, now_s: float, status: int = 200
) -> list[Header]:
    """`given` are the provider's, names in lower case; `now_s` is the wall clock."""
    headers = to_client(given)
    names = {name for name, _ in headers}
    if b"cache-control" not in names:
        headers.append((b"cache-control", b"no-store"))
    if status in _PASSING and b"retry-after" not in names:
        headers.append((b"retry-after", b"1"))
    headers.append((b"faregate-request-id", str(order.call_id).encode()))
    headers.append((b"x-accel-buffering", b"no"))
    headers += limits_of(order, limits=limits, now_s=now_s)
    return headers


def limits_of(order: Order, *, limits: LimitHeaders, now_s: float) -> list[Header]:
    """The customer's own limits, estimate and balance."""
    return limits.of(
        order.admitted,
        kind=order.surface.kind,
        now_s=now_s,
        shows_balance=order.may_see_balance,
    )
