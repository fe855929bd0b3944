"""Customers."""

from typing import Any

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.metadata import fresh, merged
from sandbox.stripe.objects.payment_methods import attach_method, referenced_method
from sandbox.stripe.parameters import Email, Fields, Kind, Metadata, Text, not_done
from sandbox.stripe.routing import Params, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/customers"
ADDRESS_LINES = ("city", "country", "line1", "line2", "postal_code", "state")
ADDRESS = Fields({name: Text(clearable=True) for name in ADDRESS_LINES})
PLAIN = ("name", "email", "description", "phone")
KINDS: dict[str, Kind] = {
    "name": Text(max_length=256, clearable=True),
    "email": Email(clearable=True),
    "description": Text(clearable=True),
    "phone": Text(max_length=20, clearable=True),
    "metadata": Metadata(),
    "address": ADDRESS,
    "invoice_settings": Fields(
        {"default_payment_method": Text(clearable=True), **not_done("custom_fields footer rendering_options")}
    ),
    **not_done(
        "balance business_name cash_balance individual_name invoice_prefix next_invoice_sequence preferred_locales "
        "shipping source tax tax_exempt"
    ),
}
CREATABLE: dict[str, Kind] = {**KINDS, "payment_method": Text(), "test_clock": Text(), **not_done("tax_id_data")}


def new_customer(work: Work, **fields: Any) -> Json:
    customer = work.insert(
        {
            "id": new_id("cus", 14),
            "object": "customer",
            "address": _address(fields.get("address")),
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
            "test_clock": fields.get("test_clock"),
        }
    )
    work.emit("customer.created", customer)
    return customer


def _address(told: Json | None) -> Json | None:
    return {name: told.get(name) for name in ADDRESS_LINES} if told else None


def create_customer(work: Work, ident: str, params: Params) -> Json:
    if "test_clock" in params:
        clock = work.referenced("test_helpers.test_clock", params["test_clock"], param="test_clock")
        work.now = clock["frozen_time"]
    customer = new_customer(work, **params)
    if "payment_method" in params:
        saved = attach_method(work, params["payment_method"], {"customer": customer["id"]})
        settings = params.get("invoice_settings", {})
        if settings.get("default_payment_method") == params["payment_method"]:
            # The name of a test card stands for the method that was just made of it.
            settings["default_payment_method"] = saved["id"]
    return _with_default(work, customer, params)


def _with_default(work: Work, customer: Json, params: Params) -> Json:
    if "default_payment_method" not in params.get("invoice_settings", {}):
        return customer
    ident = params["invoice_settings"]["default_payment_method"]
    if ident is not None:
        ident = referenced_method(work, ident, param="invoice_settings[default_payment_method]")["id"]
        if work.get("payment_method", ident)["customer"] != customer["id"]:
            message = "The customer does not have a payment method with that ID; attach it first."
            raise StripeError(message, code="resource_missing", param="invoice_settings[default_payment_method]")
    settings = {**customer["invoice_settings"], "default_payment_method": ident}
    return work.change(customer, "customer.updated", invoice_settings=settings)


def update_customer(work: Work, ident: str, params: Params) -> Json:
    customer = work.get("customer", ident)
    changes = {name: params[name] for name in PLAIN if name in params}
    if "address" in params:
        changes["address"] = _address(params["address"])
    if "metadata" in params:
        changes["metadata"] = merged(customer["metadata"], params["metadata"])
    work.change(customer, "customer.updated", **changes)
    return _with_default(work, customer, params)


ROUTES = (
    create(PATH, create_customer, CREATABLE),
    listing(PATH, "customer", {"email": Text(), "test_clock": Text()}),
    retrieve(PATH, "customer"),
    create(f"{PATH}/{{id}}", update_customer, KINDS),
)
