"""Subscription items by themselves: each change is a change of their subscription."""

from sandbox.stripe.errors import MissingError
from sandbox.stripe.objects.subscription_changes import update_subscription
from sandbox.stripe.objects.subscription_form import ITEM, PRORATION, SHARED
from sandbox.stripe.parameters import EXPAND, PAGE, Fields, Integer, Kind, Text, not_done
from sandbox.stripe.routing import Params, Route, create
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work

PATH = "/v1/subscription_items"
COST: dict[str, Kind] = {
    "payment_behavior": SHARED["payment_behavior"],
    "proration_behavior": PRORATION,
    "proration_date": Integer(),
}
"""What says how a change is paid; the rest describes the item."""


def _owner(work: Work, ident: str) -> Json:
    for subscription in work.list_all("subscription"):
        if any(item["id"] == ident for item in subscription["items"]["data"]):
            return subscription
    raise MissingError("subscription_item", ident)


def _split(params: Params) -> tuple[Params, Params]:
    cost = {name: params[name] for name in COST if name in params}
    item = {name: value for name, value in params.items() if name in ITEM}
    return cost, item


def add_item(work: Work, ident: str, params: Params) -> Json:
    subscription = work.referenced("subscription", params["subscription"], param="subscription")
    cost, item = _split(params)
    known = {one["id"] for one in subscription["items"]["data"]}
    changed = update_subscription(work, subscription["id"], {**cost, "items": [item]})
    return next(one for one in changed["items"]["data"] if one["id"] not in known)


def change_item(work: Work, ident: str, params: Params) -> Json:
    cost, item = _split(params)
    changed = update_subscription(work, _owner(work, ident)["id"], {**cost, "items": [{**item, "id": ident}]})
    return next(one for one in changed["items"]["data"] if one["id"] == ident)


def remove_item(work: Work, ident: str, params: Params) -> Json:
    cost, _ = _split(params)
    update_subscription(work, _owner(work, ident)["id"], {**cost, "items": [{"id": ident, "deleted": True}]})
    return {"id": ident, "object": "subscription_item", "deleted": True}


def retrieve_item(work: Work, ident: str, params: Params) -> Json:
    return next(item for item in _owner(work, ident)["items"]["data"] if item["id"] == ident)


def list_items(work: Work, ident: str, params: Params) -> Json:
    """All of a subscription's items at once: there are never more than twenty."""
    subscription = work.referenced("subscription", params["subscription"], param="subscription")
    items = subscription["items"]["data"]
    limit = params.get("limit", len(items))
    return {"object": "list", "data": items[:limit], "has_more": len(items) > limit, "url": PATH}


ROUTES = (
    create(PATH, add_item, {**ITEM, **COST, "subscription": Text()}, required=("price", "subscription")),
    Route(
        "GET",
        PATH,
        list_items,
        Fields(
            {**EXPAND, "limit": PAGE["limit"], "subscription": Text(), **not_done("ending_before starting_after")},
            ("subscription",),
        ),
    ),
    Route("GET", f"{PATH}/{{id}}", retrieve_item, Fields(EXPAND)),
    create(f"{PATH}/{{id}}", change_item, {**ITEM, **COST, **not_done("off_session")}),
    Route(
        "DELETE",
        f"{PATH}/{{id}}",
        remove_item,
        Fields(
            {"proration_behavior": PRORATION, "proration_date": Integer(), **not_done("clear_usage payment_behavior")}
        ),
    ),
)
