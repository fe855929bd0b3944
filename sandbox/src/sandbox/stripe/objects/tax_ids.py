"""Tax ids of customers: kept and shown, looked at for their form where it is a simple one, verified by nobody."""

import re

from sandbox.stripe.errors import StripeError
from sandbox.stripe.listing import list_page
from sandbox.stripe.parameters import TIMELESS_PAGE, Choice, Fields, Kind, Text, not_done
from sandbox.stripe.routing import Params, Route, create, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/tax_ids"
TYPES = Choice(
    "au_abn", "br_cnpj", "ca_bn", "ch_vat", "eu_vat", "gb_vat", "in_gst", "jp_cn", "mx_rfc", "no_vat", "nz_gst",
    "sg_gst", "us_ein", "za_vat",
)  # fmt: skip
OWNER = Fields(
    {
        "customer": Text(),
        "type": Choice("customer", not_done=("account", "application", "self")),
        **not_done("account customer_account"),
    },
    ("customer", "type"),
)
CREATABLE: dict[str, Kind] = {"owner": OWNER, "type": TYPES, "value": Text(max_length=40)}


FORMS = {"eu_vat": re.compile(r"[A-Z]{2}[0-9A-Z]{2,12}"), "us_ein": re.compile(r"[0-9]{2}-?[0-9]{7}")}


def create_tax_id(work: Work, ident: str, params: Params) -> Json:
    form = FORMS.get(params["type"])
    if form is not None and not form.fullmatch(params["value"]):
        raise StripeError(f"Invalid value for {params['type']}.", code="tax_id_invalid", param="value")
    customer = work.referenced("customer", params["owner"]["customer"], param="owner[customer]")
    tax_id = work.insert(
        {
            "id": new_id("txi"),
            "object": "tax_id",
            "country": params["type"][:2].upper() if params["type"] != "eu_vat" else params["value"][:2].upper(),
            "created": work.now,
            "customer": customer["id"],
            "customer_account": None,
            "livemode": False,
            "owner": {"customer": customer["id"], "customer_account": None, "type": "customer"},
            "type": params["type"],
            "value": params["value"],
            "verification": {"status": "pending", "verified_address": None, "verified_name": None},
        }
    )
    work.emit("customer.tax_id.created", tax_id)
    return tax_id


def list_tax_ids(work: Work, ident: str, params: Params) -> Json:
    where = {"customer": params["owner"]["customer"]} if "owner" in params else {}
    return list_page(work, "tax_id", url=PATH, params=params, where=where)


def delete_tax_id(work: Work, ident: str, params: Params) -> Json:
    tax_id = work.get("tax_id", ident)
    work.store.delete(ident)
    work.emit("customer.tax_id.deleted", tax_id)
    return {"id": ident, "object": "tax_id", "deleted": True}


ROUTES = (
    create(PATH, create_tax_id, CREATABLE, required=("owner", "type", "value")),
    Route(
        "GET",
        PATH,
        list_tax_ids,
        Fields({**TIMELESS_PAGE, "owner": OWNER}),
    ),
    retrieve(PATH, "tax_id"),
    Route("DELETE", f"{PATH}/{{id}}", delete_tax_id, Fields({})),
)
