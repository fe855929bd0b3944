"""The head of an answer that a provider gave: its headers for the client, and ours, as they stand in the answer."""

from typing import Final

from gateway.dataplane.order import Order
from gateway.headers import Header, lines_to_client
from gateway.surfaces.limit_headers import LimitHeaders

_PASSING: Final = frozenset({503, 529})


def answer_lines(order: Order, given: list[Header], *, limits: LimitHeaders, now_s: float, status: int = 200) -> bytes:
    """`given` are the provider's, names in lower case; `now_s` is the wall clock."""
    lines = lines_to_client(given)
    names = [name for name, _ in given]
    if b"cache-control" not in names:
        lines += b"cache-control: no-store\r\n"
    if status in _PASSING and b"retry-after" not in names:
        lines += b"retry-after: 1\r\n"
    return b"%bfaregate-request-id: %b\r\nx-accel-buffering: no\r\n%b" % (
        lines,
        order.call_text,
        limits.lines(
            order.admitted,
            kind=order.surface.kind,
            now_s=now_s,
            shows_balance=order.may_see_balance,
        ),
    )
