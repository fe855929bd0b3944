"""Every route of the API that this stand-in does; what is not here is answered with 501."""

from sandbox.stripe.errors import NotDoneError
from sandbox.stripe.objects import (
    balance,
    charges,
    customers,
    disputes,
    events,
    intents,
    invoices,
    prices,
    products,
    refunds,
    sessions,
    subscriptions,
)
from sandbox.stripe.routing import Route

ROOMS = (
    customers,
    products,
    prices,
    sessions,
    intents,
    charges,
    balance,
    subscriptions,
    invoices,
    refunds,
    disputes,
    events,
)
ROUTES: tuple[Route, ...] = tuple(route for room in ROOMS for route in room.ROUTES)
RESERVED = {"search"}
"""Words that stand where an id would, in routes that are not done."""


def find_route(method: str, path: str) -> tuple[Route, str]:
    """The route and the id in its path."""
    for route in ROUTES:
        ident = route.matched_id(method, path)
        if ident is not None and ident not in RESERVED:
            return route, ident
    raise NotDoneError(f"{method} {path}")
