"""Stripe Tax: the account's settings, its registrations, and what a calculation says of a payment."""

from typing import Any

from sandbox.stripe.errors import StripeError
from sandbox.stripe.expansion import list_of
from sandbox.stripe.listing import list_page
from sandbox.stripe.objects.customers import ADDRESS_LINES
from sandbox.stripe.objects.tax_rates import (
    REGISTRATION,
    SETTINGS,
    behaviour_of,
    check_located,
    is_active,
    percent_of,
    tax_minor,
)
from sandbox.stripe.parameters import (
    EXPAND,
    TIMELESS_PAGE,
    Choice,
    Currency,
    Fields,
    Integer,
    Kind,
    ListOf,
    Metadata,
    Text,
    Word,
    not_done,
)
from sandbox.stripe.routing import Params, Route, create, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

SETTINGS_PATH = "/v1/tax/settings"
REGISTRATIONS_PATH = "/v1/tax/registrations"
CALCULATIONS_PATH = "/v1/tax/calculations"
CALCULATION_LIFE_S = 90 * 24 * 3600
ADDRESS = Fields({name: Text() for name in ADDRESS_LINES})
SETTABLE: dict[str, Kind] = {
    "defaults": Fields(
        {"tax_behavior": Choice("exclusive", "inclusive", "inferred_by_currency"), "tax_code": Text()},
    ),
    "head_office": Fields({"address": ADDRESS}, required=("address",)),
}
STANDARD = Fields(
    {
        "standard": Fields(
            {"place_of_supply_scheme": Choice("inbound_goods", "small_seller", "standard")},
            required=("place_of_supply_scheme",),
        ),
        "type": Choice("ioss", "oss_non_union", "oss_union", "standard"),
    },
    required=("type",),
)
STATE = Fields(
    {
        "state": Text(),
        "type": Choice("state_sales_tax", not_done=("local_amusement_tax", "local_lease_tax")),
        **not_done("local_amusement_tax local_lease_tax state_sales_tax"),
    },
    required=("state", "type"),
)
SIMPLE = Fields({"type": Choice("standard"), **not_done("standard")}, required=("type",))
COUNTRIES: dict[str, Fields] = {
    **dict.fromkeys(("at", "de", "es", "fr", "ie", "it"), STANDARD),
    **dict.fromkeys(("au", "ch", "gb"), SIMPLE),
    "us": STATE,
}
REGISTRABLE: dict[str, Kind] = {
    "active_from": Word(Integer(), "now"),
    "country": Text(max_length=2),
    "country_options": Fields(COUNTRIES),
    "expires_at": Integer(),
}
CHANGEABLE: dict[str, Kind] = {"active_from": Word(Integer(), "now"), "expires_at": Word(Integer(), "", "now")}
LINE = Fields(
    {
        "amount": Integer(minimum=-99_999_999),
        "quantity": Integer(minimum=1),
        "reference": Text(max_length=500),
        "tax_behavior": Choice("exclusive", "inclusive"),
        "metadata": Metadata(),
        **not_done("performance_location product tax_code"),
    },
    required=("amount",),
)
BUYER = Fields(
    {
        "address": Fields({name: Text() for name in ADDRESS_LINES}, required=("country",)),
        "address_source": Choice("billing", "shipping"),
        **not_done("ip_address tax_ids taxability_override"),
    }
)
CALCULABLE: dict[str, Kind] = {
    "currency": Currency(),
    "customer": Text(),
    "customer_details": BUYER,
    "line_items": ListOf(LINE),
    **not_done("ship_from_details shipping_cost tax_date"),
}


def show_settings(work: Work, ident: str, params: Params) -> Json:
    told: Json = work.store.find_switch(SETTINGS) or {}
    office = told.get("head_office")
    pending = None if office else {"missing_fields": ["head_office"]}
    return {
        "object": "tax.settings",
        "defaults": {
            "provider": "stripe",
            "tax_behavior": told.get("tax_behavior"),
            "tax_code": told.get("tax_code"),
        },
        "head_office": {"address": {name: office.get(name) for name in ADDRESS_LINES}} if office else None,
        "livemode": False,
        "status": "active" if office else "pending",
        "status_details": {"pending": pending} if pending else {"active": {}},
    }


def change_settings(work: Work, ident: str, params: Params) -> Json:
    told: Json = work.store.find_switch(SETTINGS) or {}
    if "head_office" in params:
        told["head_office"] = params["head_office"]["address"]
    work.store.set_switch(SETTINGS, {**told, **params.get("defaults", {})})
    shown = show_settings(work, ident, {})
    work.emit("tax.settings.updated", shown)
    return shown


def create_registration(work: Work, ident: str, params: Params) -> Json:
    country = params["country"].upper()
    options = params["country_options"].get(country.lower())
    if options is None:
        message = f"You must specify country_options for {country}."
        raise StripeError(message, code="parameter_missing", param=f"country_options[{country.lower()}]")
    return work.insert(
        _dated(
            {
                "id": new_id("taxreg"),
                "object": REGISTRATION,
                "active_from": work.now if params["active_from"] == "now" else params["active_from"],
                "country": country,
                "country_options": {country.lower(): options},
                "created": work.now,
                "expires_at": params.get("expires_at"),
                "livemode": False,
            },
            now=work.now,
        )
    )


def _dated(registration: Json, *, now: int) -> Json:
    waits = registration["active_from"] > now
    return {
        **registration,
        "status": "scheduled" if waits else "active" if is_active(registration, now=now) else "expired",
    }


def change_registration(work: Work, ident: str, params: Params) -> Json:
    registration = work.get(REGISTRATION, ident)
    told = {name: work.now if value == "now" else value for name, value in params.items() if name in CHANGEABLE}
    return work.change(registration, None, **_dated({**registration, **told}, now=work.now))


def list_registrations(work: Work, ident: str, params: Params) -> Json:
    for one in work.list_all(REGISTRATION):
        work.change(one, None, **_dated(one, now=work.now))
    where = {"status": params["status"]} if params.get("status", "all") != "all" else {}
    return list_page(work, REGISTRATION, url=REGISTRATIONS_PATH, params=params, where=where)


def create_calculation(work: Work, ident: str, params: Params) -> Json:
    address = _address(work, params)
    percent = percent_of(work, address["country"])
    lines = [
        _line(work, entry, percent=percent, currency=params["currency"], index=index)
        for index, entry in enumerate(params["line_items"])
    ]
    on_top = sum(line["amount_tax"] for line in lines if line["tax_behavior"] == "exclusive")
    inside = sum(line["amount_tax"] for line in lines if line["tax_behavior"] == "inclusive")
    return work.insert(
        {
            "id": new_id("taxcalc"),
            "object": "tax.calculation",
            "amount_total": sum(line["amount"] for line in lines) + on_top,
            "currency": params["currency"],
            "customer": params.get("customer"),
            "customer_details": _buyer(address),
            "expires_at": work.now + CALCULATION_LIFE_S,
            "livemode": False,
            "ship_from_details": None,
            "shipping_cost": None,
            "tax_amount_exclusive": on_top,
            "tax_amount_inclusive": inside,
            "tax_breakdown": [],
            "tax_date": work.now,
            "_created": work.now,
            "_line_items": lines,
        }
    )


def _address(work: Work, params: Params) -> Json:
    if ("customer" in params) == ("customer_details" in params):
        message = "You must specify exactly one of `customer` or `customer_details`."
        raise StripeError(message, code="parameter_missing", param="customer_details")
    if "customer" in params:
        customer = work.referenced("customer", params["customer"], param="customer")
        check_located(work, customer)
        found: Json = customer["address"]
        return found
    told: Json = params["customer_details"].get("address") or {}
    check_located(work, {"address": told}, param="customer_details[address]")
    return {name: told.get(name) for name in ADDRESS_LINES}


def _buyer(address: Json) -> Json:
    return {
        "address": address,
        "address_source": "billing",
        "ip_address": None,
        "tax_ids": [],
        "taxability_override": "none",
    }


def _line(work: Work, entry: dict[str, Any], *, percent: int, currency: str, index: int) -> Json:
    behaviour = behaviour_of(work, entry.get("tax_behavior", "exclusive"), currency=currency)
    return {
        "id": new_id("tax_li"),
        "object": "tax.calculation_line_item",
        "amount": entry["amount"],
        "amount_tax": tax_minor(entry["amount"], percent=percent, behaviour=behaviour),
        "livemode": False,
        "metadata": entry.get("metadata"),
        "product": None,
        "quantity": entry.get("quantity", 1),
        "reference": entry.get("reference", f"L{index}"),
        "tax_behavior": behaviour,
        "tax_breakdown": None,
        "tax_code": "txcd_10000000",
    }


def list_calculated(work: Work, ident: str, params: Params) -> Json:
    lines = work.get("tax.calculation", ident)["_line_items"]
    return list_of(lines, url=f"{CALCULATIONS_PATH}/{ident}/line_items")


ROUTES = (
    Route("GET", SETTINGS_PATH, show_settings),
    create(SETTINGS_PATH, change_settings, SETTABLE),
    create(
        REGISTRATIONS_PATH, create_registration, REGISTRABLE, required=("active_from", "country", "country_options")
    ),
    Route(
        "GET",
        REGISTRATIONS_PATH,
        list_registrations,
        Fields({**TIMELESS_PAGE, "status": Choice("active", "all", "expired", "scheduled")}),
    ),
    retrieve(REGISTRATIONS_PATH, REGISTRATION),
    create(f"{REGISTRATIONS_PATH}/{{id}}", change_registration, CHANGEABLE),
    create(CALCULATIONS_PATH, create_calculation, CALCULABLE, required=("currency", "line_items")),
    Route(
        "GET",
        f"{CALCULATIONS_PATH}/{{id}}/line_items",
        list_calculated,
        Fields({**EXPAND, "limit": Integer(minimum=1, maximum=100), **not_done("ending_before starting_after")}),
    ),
    retrieve(CALCULATIONS_PATH, "tax.calculation"),
)
