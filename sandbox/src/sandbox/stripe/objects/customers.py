"""Customers."""

from typing import Any

from sandbox.stripe.objects.metadata import fresh, merged
from sandbox.stripe.parameters import Email, Kind, Metadata, Text, not_done
from sandbox.stripe.routing import Params, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/customers"
PLAIN = ("name", "email", "description", "phone")
KINDS: dict[str, Kind] = {
    "name": Text(max_length=256, clearable=True),
    "email": Email(clearable=True),
    "description": Text(clearable=True),
    "phone": Text(max_length=20, clearable=True),
    "metadata": Metadata(),
    **not_done(
        "address balance business_name cash_balance individual_name invoice_prefix invoice_settings "
        "next_invoice_sequence preferred_locales shipping source tax tax_exempt"
    ),
}
CREATABLE: dict[str, Kind] = {**KINDS, **not_done("payment_method tax_id_data test_clock")}


def new_customer(work: Work, **fields: Any) -> Json:
    customer = work.insert(
        {
            "id": new_id("cus", 14),
            "object": "customer",
            "address": None,
            "balance": 0,
            "created": work.now,
            "currency": None,
            "customer_account": None,
            "default_source": None,
            "delinquent": False,
            "description": fields.get("description"),
            "email": fields.get("email"),
            "invoice_prefix": new_id("x", 8)[2:].upper(),
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": fresh(fields.get("metadata")),
            "name": fields.get("name"),
            "next_invoice_sequence": 1,
            "phone": fields.get("phone"),
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": None,
        }
    )
    work.emit("customer.created", customer)
    return customer


def create_customer(work: Work, ident: str, params: Params) -> Json:
    return new_customer(work, **params)


def update_customer(work: Work, ident: str, params: Params) -> Json:
    customer = work.get("customer", ident)
    changes = {name: params[name] for name in PLAIN if name in params}
    if "metadata" in params:
        changes["metadata"] = merged(customer["metadata"], params["metadata"])
    return work.change(customer, "customer.updated", **changes)


ROUTES = (
    create(PATH, create_customer, CREATABLE),
    listing(PATH, "customer", {"email": Text(), **not_done("test_clock")}),
    retrieve(PATH, "customer"),
    create(f"{PATH}/{{id}}", update_customer, KINDS),
)
