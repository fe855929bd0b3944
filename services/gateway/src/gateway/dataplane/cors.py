"""Which web pages may call this address from a browser: none, unless the operator lists them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from gateway.headers import Header

if TYPE_CHECKING:
    from gateway.dataplane.exchange import Exchange

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_EXPOSED: Final = ("request-id", "faregate-request-id", "faregate-estimated-cost", "faregate-balance", "retry-after")
_MAX_AGE_S: Final = 600


class Cors:
    """The answers' headers on the model routes."""

    def __init__(self, origins: Sequence[str]) -> None:
        exposed = ", ".join(_EXPOSED).encode()
        self._rendered = {
            origin.encode(): (
                b"access-control-allow-origin: %b\r\naccess-control-expose-headers: %b\r\nvary: origin\r\n"
                % (origin.encode(), exposed)
            )
            for origin in origins
        }

    def answer_headers(self, origin: bytes | None) -> bytes:
        if origin is None:
            return b"vary: origin\r\n"
        return self._rendered.get(origin, b"vary: origin\r\n")

    def preflight(self, exchange: "Exchange", *, methods: Sequence[str]) -> None:
        """Answer a browser that asks whether it may; `answer_headers` says to whom."""
        headers: list[Header] = []
        if exchange.header(b"origin") in self._rendered:
            headers = [
                (b"access-control-allow-methods", ", ".join(methods).encode()),
                (b"access-control-max-age", str(_MAX_AGE_S).encode()),
            ]
            if (asked := exchange.header(b"access-control-request-headers")) is not None:
                headers.append((b"access-control-allow-headers", asked))
        exchange.answer(204, headers, b"")


def allow_origins(app: Starlette, origins: Sequence[str]) -> None:
    """The same allow-list for the routes of the ASGI app."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=list(_METHODS),
            allow_headers=["*"],
            expose_headers=list(_EXPOSED),
            max_age=_MAX_AGE_S,
        )
