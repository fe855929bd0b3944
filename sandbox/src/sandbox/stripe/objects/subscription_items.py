"""The items of a subscription: what is paid for, how many of it, and the period that is paid."""

from typing import Any

from sandbox.stripe.errors import MissingError, NotDoneError, StripeError
from sandbox.stripe.objects.metadata import fresh
from sandbox.stripe.periods import boundary
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id, visible


def new_item(
    work: Work, price: Json, *, quantity: int | None, subscription_id: str, period: tuple[int, int], **fields: Any
) -> Json:
    item: Json = {
        "id": new_id("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": work.now,
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": fresh(fields.get("metadata")),
        "plan": plan_of(price),
        "price": visible(price),
        "subscription": subscription_id,
        "tax_rates": [],
    }
    return item if is_metered(price) else {**item, "quantity": 1 if quantity is None else quantity}


def is_metered(price: Json) -> bool:
    return bool(price["recurring"]["usage_type"] == "metered")


def period_end(price: Json, *, anchor: int, index: int) -> int:
    """When the period after number `index` begins."""
    recurring = price["recurring"]
    interval, count = recurring["interval"], recurring["interval_count"]
    return boundary(anchor, interval=interval, interval_count=count, index=index)


def plan_of(price: Json) -> Json:
    """The old name of a price, which Stripe still shows beside it."""
    same = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product")
    recurring = ("interval", "interval_count", "meter", "trial_period_days", "usage_type")
    return {
        **{name: price[name] for name in same},
        **{name: price["recurring"][name] for name in recurring},
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "tiers_mode": None,
        "transform_usage": None,
    }


def checked_price(work: Work, ident: str, *, name: str) -> Json:
    price = work.referenced("price", ident, param=f"{name}[price]")
    if price["type"] != "recurring":
        message = f"The price specified is set to `type=one_time` but this field only accepts recurring prices: {ident}"
        raise StripeError(message, param=f"{name}[price]")
    if not price["active"]:
        raise StripeError(f"The price specified is inactive: {ident}.", param=f"{name}[price]")
    return price


def check_together(prices: list[Json]) -> None:
    """What stands in one subscription shares a currency and an interval, and no price stands there twice."""
    if len({price["id"] for price in prices}) < len(prices):
        raise StripeError("Cannot add multiple subscription items with the same price.", param="items")
    if len({price["currency"] for price in prices}) > 1:
        raise StripeError("All prices on a subscription must have the same currency.", param="items")
    if len({(price["recurring"]["interval"], price["recurring"]["interval_count"]) for price in prices}) > 1:
        raise NotDoneError("subscriptions with prices of several intervals", param="items")


def check_quantity(price: Json, quantity: int | None, *, name: str) -> None:
    if is_metered(price) and quantity is not None:
        message = "You may not specify a quantity for a metered price; report its usage with meter events."
        raise StripeError(message, param=f"{name}[quantity]")


def changed_items(work: Work, subscription: Json, changes: list[Json]) -> list[Json]:
    """The items after a request's changes: replaced, resized, added or removed."""
    items = {item["id"]: dict(item) for item in subscription["items"]["data"]}
    for index, change in enumerate(changes):
        name = f"items[{index}]"
        if "id" not in change:
            added = _added(work, subscription, change, name=name)
            items[added["id"]] = added
            continue
        if change["id"] not in items:
            raise MissingError("subscription_item", change["id"], param=f"{name}[id]")
        if change.get("deleted"):
            del items[change["id"]]
        else:
            items[change["id"]] = _replaced(work, items[change["id"]], change, name=name)
    if not items:
        raise StripeError("A subscription must have at least one item; cancel it instead.", param="items")
    check_together([item["price"] for item in items.values()])
    return list(items.values())


def _added(work: Work, subscription: Json, change: Json, *, name: str) -> Json:
    if "price" not in change:
        raise StripeError("Missing required param: price.", code="parameter_missing", param=f"{name}[price]")
    price = checked_price(work, change["price"], name=name)
    check_quantity(price, change.get("quantity"), name=name)
    first = subscription["items"]["data"][0]
    return new_item(
        work,
        price,
        quantity=change.get("quantity"),
        subscription_id=subscription["id"],
        period=(first["current_period_start"], first["current_period_end"]),
        metadata=change.get("metadata"),
    )


def _replaced(work: Work, item: Json, change: Json, *, name: str) -> Json:
    price = checked_price(work, change["price"], name=name) if "price" in change else item["price"]
    check_quantity(price, change.get("quantity"), name=name)
    replaced = {**item, "price": visible(price), "plan": plan_of(price)}
    replaced.pop("quantity", None)
    if not is_metered(price):
        replaced["quantity"] = change.get("quantity", item.get("quantity", 1))
    if "metadata" in change:
        replaced["metadata"] = fresh({**item["metadata"], **(change["metadata"] or {})})
    return replaced
