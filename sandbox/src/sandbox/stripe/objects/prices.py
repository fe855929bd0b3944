"""Prices: one-time or recurring, per unit."""

from decimal import Decimal
from typing import Any

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.metadata import fresh, merged
from sandbox.stripe.objects.products import new_product
from sandbox.stripe.parameters import (
    Choice,
    Currency,
    Fields,
    Flag,
    Integer,
    Kind,
    ListOf,
    Metadata,
    Number,
    Text,
    not_done,
)
from sandbox.stripe.routing import Params, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/prices"
RECURRING = Fields(
    {
        "interval": Choice("day", "week", "month", "year"),
        "interval_count": Integer(minimum=1, maximum=1095),
        "meter": Text(),
        "usage_type": Choice("licensed", "metered"),
    },
    required=("interval",),
)
PRODUCT_DATA = Fields(
    {
        "name": Text(max_length=250),
        "active": Flag(),
        "id": Text(max_length=255),
        "metadata": Metadata(),
        "statement_descriptor": Text(max_length=22),
        "unit_label": Text(max_length=12),
        **not_done("tax_code"),
    },
    required=("name",),
)
UPDATABLE: dict[str, Kind] = {
    "active": Flag(),
    "lookup_key": Text(max_length=200, clearable=True),
    "metadata": Metadata(),
    "nickname": Text(clearable=True),
    "tax_behavior": Choice("exclusive", "inclusive", "unspecified"),
    "transfer_lookup_key": Flag(),
    **not_done("currency_options"),
}
CREATABLE: dict[str, Kind] = {
    **UPDATABLE,
    "billing_scheme": Choice("per_unit", not_done=("tiered",)),
    "currency": Currency(),
    "product": Text(),
    "product_data": PRODUCT_DATA,
    "recurring": RECURRING,
    "unit_amount": Integer(),
    "unit_amount_decimal": Number(),
    **not_done("custom_unit_amount tiers tiers_mode transform_quantity"),
}
FILTERS: dict[str, Kind] = {
    "active": Flag(),
    "currency": Currency(),
    "lookup_keys": ListOf(Text(), max_items=10),
    "product": Text(),
    "type": Choice("one_time", "recurring"),
    **not_done("recurring"),
}


def new_price(work: Work, *, product_id: str, **fields: Any) -> Json:
    recurring = fields.get("recurring")
    price = work.insert(
        {
            "id": new_id("price"),
            "object": "price",
            "active": fields.get("active", True),
            "billing_scheme": "per_unit",
            "created": work.now,
            "currency": fields["currency"],
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": fields.get("lookup_key"),
            "metadata": fresh(fields.get("metadata")),
            "nickname": fields.get("nickname"),
            "product": product_id,
            "recurring": _recurring(recurring) if recurring else None,
            "tax_behavior": fields.get("tax_behavior", "unspecified"),
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "recurring" if recurring else "one_time",
            **_amounts(fields),
        }
    )
    work.emit("price.created", price)
    return price


def _recurring(params: Params) -> Json:
    return {
        "interval": params["interval"],
        "interval_count": params.get("interval_count", 1),
        "meter": params.get("meter"),
        "trial_period_days": None,
        "usage_type": params.get("usage_type", "licensed"),
    }


def _amounts(fields: Params) -> Json:
    """A price finer than a minor unit has no whole amount."""
    told = fields.get("unit_amount_decimal", str(fields.get("unit_amount")))
    amount = Decimal(told)
    whole = int(amount) if amount == amount.to_integral_value() else None
    return {"unit_amount": whole, "unit_amount_decimal": f"{amount.normalize():f}"}


def _check_meter(work: Work, recurring: Params) -> None:
    is_metered = recurring.get("usage_type") == "metered"
    if is_metered and "meter" not in recurring:
        message = "Prices with usage_type metered must be backed by a meter: pass recurring[meter]."
        raise StripeError(message, param="recurring[meter]")
    if not is_metered and "meter" in recurring:
        raise StripeError("Only prices with usage_type metered have a meter.", param="recurring[meter]")
    if (
        is_metered
        and work.referenced("billing.meter", recurring["meter"], param="recurring[meter]")["status"] != "active"
    ):
        raise StripeError("The meter is not active.", param="recurring[meter]")


def create_price(work: Work, ident: str, params: Params) -> Json:
    if ("unit_amount" in params) == ("unit_amount_decimal" in params):
        message = "Exactly one of unit_amount and unit_amount_decimal must be given."
        raise StripeError(message, code="parameter_missing", param="unit_amount")
    _check_meter(work, params.get("recurring", {}))
    if ("product" in params) == ("product_data" in params):
        raise StripeError("You must specify exactly one of `product` or `product_data`.", param="product")
    _claim_lookup_key(work, params)
    fields = {name: value for name, value in params.items() if name != "product"}
    return new_price(work, product_id=_product_id(work, params), **fields)


def _product_id(work: Work, params: Params) -> str:
    if "product" in params:
        product = work.referenced("product", params["product"], param="product")
    else:
        product = new_product(work, **params["product_data"])
    return str(product["id"])


def _claim_lookup_key(work: Work, params: Params, *, price_id: str | None = None) -> None:
    """A lookup key names one price; it moves only when the caller says so."""
    key = params.get("lookup_key")
    holders = [price for price in work.list_all("price", lookup_key=key) if price["id"] != price_id] if key else []
    for holder in holders:
        if not params.get("transfer_lookup_key"):
            raise StripeError(f"A price (`{holder['id']}`) already uses that lookup key.", param="lookup_key")
        work.change(holder, "price.updated", lookup_key=None)


def update_price(work: Work, ident: str, params: Params) -> Json:
    price = work.get("price", ident)
    _claim_lookup_key(work, params, price_id=ident)
    plain = ("active", "lookup_key", "nickname", "tax_behavior")
    changes: Params = {name: params[name] for name in plain if name in params}
    if "metadata" in params:
        changes["metadata"] = merged(price["metadata"], params["metadata"])
    return work.change(price, "price.updated", **changes)


ROUTES = (
    create(PATH, create_price, CREATABLE, required=("currency",)),
    listing(PATH, "price", FILTERS, columns={"lookup_keys": "lookup_key"}),
    retrieve(PATH, "price"),
    create(f"{PATH}/{{id}}", update_price, UPDATABLE),
)
