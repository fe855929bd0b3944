"""The table of the model API: every route says who pays for it, or why nobody does."""

from collections.abc import Mapping
from typing import Final

from gateway.dataplane.front import ModelHandler
from gateway.dataplane.paid import PaidRoute
from gateway.dataplane.upstream import FREE, PAID
from gateway.errors import Envelope, ModelApiError

Route = tuple[str, str]

WITHOUT_PROVIDER: Final[Mapping[Route, str]] = {
    ("GET", "/v1/models"): "a list of names",
    ("GET", "/v1/models/{id}"): "a name",
    ("HEAD", "/api/hello"): "a sign of life",
    ("GET", "/api/hello"): "a sign of life",
}
"""Routes that answer without reaching a provider, and why nobody pays for them."""

_ENVELOPES: Final[Mapping[str, Envelope]] = {
    "/v1/chat/completions": "openai",
    "/v1/embeddings": "openai",
    "/v1/responses": "openai-responses",
}


class UndeclaredRouteError(RuntimeError):
    """A route of the model API is neither paid for nor declared free."""


def model_routes(
    paid: Mapping[Route, PaidRoute],
    free: Mapping[Route, ModelHandler],
    *,
    admitting: Mapping[Route, ModelHandler] | None = None,
) -> dict[Route, ModelHandler]:
    """All routes that are answered without the ASGI app; `admitting` are those that admit without a provider.

    The declared paths must all be there, so that leaving one out is noticed too.
    """
    if missing := PAID - set(paid):
        raise UndeclaredRouteError(f"not served: {sorted(missing)}")
    for route, handler in paid.items():
        if not isinstance(handler, PaidRoute) or ("POST", handler.upstream_path) not in PAID:
            raise UndeclaredRouteError(f"a paid route without admission: {route}")
    if undeclared := set(free) ^ (set(FREE) | set(WITHOUT_PROVIDER)):
        raise UndeclaredRouteError(str(sorted(undeclared)))
    return {**paid, **free, **(admitting or {})}


def in_envelope(path: str, error: ModelApiError) -> ModelApiError:
    """In the shape of the path's surface, for what is refused before anybody reads the request."""
    error.envelope = _ENVELOPES.get(path, "anthropic")
    return error
