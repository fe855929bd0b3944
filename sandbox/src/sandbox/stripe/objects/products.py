"""Products."""

from typing import Any

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.metadata import fresh, merged
from sandbox.stripe.parameters import Flag, Kind, ListOf, Metadata, Text, Url, not_done
from sandbox.stripe.routing import Params, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/products"
PLAIN = ("name", "active", "description", "images", "statement_descriptor", "unit_label", "url")
KINDS: dict[str, Kind] = {
    "name": Text(max_length=250),
    "active": Flag(),
    "description": Text(clearable=True),
    "images": ListOf(Url(), max_items=8),
    "metadata": Metadata(),
    "statement_descriptor": Text(max_length=22),
    "unit_label": Text(max_length=12),
    "url": Url(),
    **not_done("marketing_features package_dimensions shippable tax_code"),
}
CREATABLE: dict[str, Kind] = {**KINDS, "id": Text(max_length=255), **not_done("default_price_data")}


def new_product(work: Work, **fields: Any) -> Json:
    product = work.insert(
        {
            "id": fields.get("id") or new_id("prod", 14),
            "object": "product",
            "active": fields.get("active", True),
            "created": work.now,
            "default_price": None,
            "description": fields.get("description"),
            "images": fields.get("images", []),
            "livemode": False,
            "marketing_features": [],
            "metadata": fresh(fields.get("metadata")),
            "name": fields["name"],
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": fields.get("statement_descriptor"),
            "tax_code": None,
            "type": "service",
            "unit_label": fields.get("unit_label"),
            "updated": work.now,
            "url": fields.get("url"),
        }
    )
    work.emit("product.created", product)
    return product


def create_product(work: Work, ident: str, params: Params) -> Json:
    if "id" in params and work.find("product", params["id"]):
        raise StripeError("Product already exists.", code="resource_already_exists", param="id")
    return new_product(work, **params)


def update_product(work: Work, ident: str, params: Params) -> Json:
    product = work.get("product", ident)
    changes = {name: params[name] for name in PLAIN if name in params}
    if "default_price" in params:
        changes["default_price"] = work.referenced("price", params["default_price"], param="default_price")["id"]
    if "metadata" in params:
        changes["metadata"] = merged(product["metadata"], params["metadata"])
    return work.change(product, "product.updated", updated=work.now, **changes)


ROUTES = (
    create(PATH, create_product, CREATABLE, required=("name",)),
    listing(
        PATH, "product", {"active": Flag(), "ids": ListOf(Text()), **not_done("shippable url")}, columns={"ids": "id"}
    ),
    retrieve(PATH, "product"),
    create(f"{PATH}/{{id}}", update_product, {**KINDS, "default_price": Text()}),
)
