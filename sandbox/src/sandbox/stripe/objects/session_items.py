"""What a checkout session sells: its line items, and the rules that prices in one session must keep."""

from typing import Any

from sandbox.stripe.errors import NotDoneError, StripeError
from sandbox.stripe.objects.amounts import amount_of
from sandbox.stripe.objects.prices import new_price
from sandbox.stripe.objects.products import new_product
from sandbox.stripe.objects.tax_rates import behaviour_of, percent_of, tax_minor
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id, visible

LEAST_TOTALS_MINOR = {"usd": 50, "eur": 50, "gbp": 30}


def new_items(work: Work, params: list[dict[str, Any]], *, mode: str) -> list[Json]:
    if not params:
        raise StripeError("You must specify line_items.", code="parameter_missing", param="line_items")
    items = [_item(work, entry, name=f"line_items[{index}]") for index, entry in enumerate(params)]
    _check_mode([item["price"] for item in items], mode=mode)
    _check_total(items, mode=mode)
    return items


def total_minor(items: list[Json]) -> int:
    return sum(int(item["amount_total"]) for item in items)


def taxed(work: Work, items: list[Json], *, is_taxed: bool, country: str | None) -> Json:
    """The session's sums; what is computed for a buyer whose country is not known yet comes when they say it."""
    percent = percent_of(work, country) if is_taxed and country else 0
    for item in items:
        behaviour = "exclusive"
        if is_taxed:
            told = work.get("price", item["price"]["id"])["tax_behavior"]
            behaviour = behaviour_of(work, told, currency=item["currency"])
        tax = tax_minor(item["amount_subtotal"], percent=percent, behaviour=behaviour)
        on_top = tax if behaviour == "exclusive" else 0
        item |= {"amount_tax": tax, "amount_total": item["amount_subtotal"] + on_top}
    status = None if not is_taxed else "complete" if country else "requires_location_inputs"
    amount_tax = sum(int(item["amount_tax"]) for item in items)
    return {
        "amount_subtotal": sum(int(item["amount_subtotal"]) for item in items) if items else None,
        "amount_total": total_minor(items) if items else None,
        "automatic_tax": {
            "enabled": is_taxed,
            "liability": {"type": "self"} if is_taxed else None,
            "provider": "stripe" if is_taxed else None,
            "status": status,
        },
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": amount_tax},
    }


def _item(work: Work, entry: dict[str, Any], *, name: str) -> Json:
    price = _price(work, entry, name=name)
    is_metered = price["type"] == "recurring" and price["recurring"]["usage_type"] == "metered"
    if is_metered == ("quantity" in entry):
        verb = "must not be given for a metered price" if is_metered else "is required"
        raise StripeError(f"Quantity {verb}.", code="parameter_missing", param=f"{name}[quantity]")
    amount = 0 if is_metered else amount_of(price, entry["quantity"])
    return {
        "id": new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": work.get("product", price["product"])["name"],
        "metadata": {},
        "price": visible(price),
        "quantity": entry.get("quantity"),
    }


def _price(work: Work, entry: dict[str, Any], *, name: str) -> Json:
    if ("price" in entry) == ("price_data" in entry):
        raise StripeError("You must specify either `price` or `price_data`.", param=f"{name}[price]")
    if "price_data" in entry:
        return _inline_price(work, entry["price_data"], name=f"{name}[price_data]")
    price = work.referenced("price", entry["price"], param=f"{name}[price]")
    if not price["active"]:
        message = f"The price specified is inactive: {price['id']}. This field only accepts active prices."
        raise StripeError(message, param=f"{name}[price]")
    return price


def _inline_price(work: Work, entry: dict[str, Any], *, name: str) -> Json:
    """A price made for this one session: never offered again, so it is inactive from the start."""
    if ("product" in entry) == ("product_data" in entry):
        raise StripeError("You must specify exactly one of `product` or `product_data`.", param=f"{name}[product]")
    if "product" in entry:
        product = work.referenced("product", entry["product"], param=f"{name}[product]")
    else:
        product = new_product(work, active=False, **entry["product_data"])
    fields = {key: entry[key] for key in ("currency", "unit_amount", "recurring", "tax_behavior") if key in entry}
    return new_price(work, product_id=product["id"], active=False, **fields)


def _check_mode(prices: list[Json], *, mode: str) -> None:
    recurring = [price for price in prices if price["type"] == "recurring"]
    if mode == "payment" and recurring:
        message = "You specified `payment` mode but passed a recurring price; use `subscription` mode."
        raise StripeError(message, param="mode")
    if mode == "payment":
        return
    if not recurring:
        raise StripeError("You must provide at least one recurring price in `subscription` mode.", param="line_items")
    if len(recurring) < len(prices):
        raise NotDoneError("one-time prices in a subscription's checkout", param="line_items")
    if len({(price["recurring"]["interval"], price["recurring"]["interval_count"]) for price in prices}) > 1:
        raise StripeError("All recurring prices in a session must share one interval.", param="line_items")


def _check_total(items: list[Json], *, mode: str) -> None:
    currencies = sorted({item["currency"] for item in items})
    if len(currencies) > 1:
        raise StripeError(f"All prices in a session must share one currency, not {currencies}.", param="line_items")
    total = total_minor(items)
    if total == 0 and mode == "subscription":
        return
    if total == 0:
        raise NotDoneError("checkout sessions without anything to pay", param="line_items")
    least = LEAST_TOTALS_MINOR.get(currencies[0], 0)
    if total < least:
        message = f"The Checkout Session's total amount must be at least {least} {currencies[0]} (minor units)."
        raise StripeError(message, code="amount_too_small", param="line_items")
