"""Every route of the API that this stand-in does; what is not here is answered with 501."""

from sandbox.stripe.errors import NotDoneError
from sandbox.stripe.objects import (
    balance,
    charges,
    credit_notes,
    customers,
    disputes,
    events,
    intent_requests,
    invoice_items,
    invoice_requests,
    item_requests,
    meter_errors,
    meters,
    payment_methods,
    portal,
    prices,
    products,
    refunds,
    sessions,
    setup_intents,
    subscriptions,
    tax_ids,
    taxes,
    test_clocks,
)
from sandbox.stripe.routing import Route

ROOMS = (
    customers,
    payment_methods,
    setup_intents,
    tax_ids,
    taxes,
    products,
    prices,
    sessions,
    intent_requests,
    charges,
    balance,
    subscriptions,
    item_requests,
    invoice_requests,
    invoice_items,
    credit_notes,
    refunds,
    disputes,
    meters,
    meter_errors,
    portal,
    test_clocks,
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
