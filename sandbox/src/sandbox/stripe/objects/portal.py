"""The customer portal: its configurations, and sessions that open its page."""

from typing import Any

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.metadata import fresh, merged
from sandbox.stripe.objects.subscription_form import PRORATION, REASONS
from sandbox.stripe.parameters import TIMELESS_PAGE, Choice, Fields, Flag, Kind, ListOf, Metadata, Text, Url, not_done
from sandbox.stripe.routing import Params, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/billing_portal/configurations"
SESSIONS_PATH = "/v1/billing_portal/sessions"
KIND = "billing_portal.configuration"
FEATURES = Fields(
    {
        "customer_update": Fields(
            {
                "allowed_updates": ListOf(Choice("address", "email", "name", "phone", "shipping", "tax_id")),
                "enabled": Flag(),
            },
            ("enabled",),
        ),
        "invoice_history": Fields({"enabled": Flag()}, ("enabled",)),
        "payment_method_update": Fields({"enabled": Flag(), **not_done("payment_method_configuration")}, ("enabled",)),
        "subscription_cancel": Fields(
            {
                "cancellation_reason": Fields(
                    {"enabled": Flag(), "options": ListOf(Choice(*REASONS)), **not_done("feedback_options")},
                    ("enabled", "options"),
                ),
                "enabled": Flag(),
                "mode": Choice("at_period_end", "immediately"),
                "proration_behavior": PRORATION,
            },
            ("enabled",),
        ),
        "subscription_update": Fields(
            {
                "default_allowed_updates": ListOf(Choice("price", "promotion_code", "quantity")),
                "enabled": Flag(),
                "products": ListOf(
                    Fields(
                        {"prices": ListOf(Text()), "product": Text(), **not_done("adjustable_quantity")},
                        ("prices", "product"),
                    )
                ),
                "proration_behavior": PRORATION,
                "schedule_at_period_end": Fields(
                    {
                        "conditions": ListOf(
                            Fields({"type": Choice("decreasing_item_amount", "shortening_interval")}, ("type",))
                        )
                    }
                ),
                "trial_update_behavior": Choice("continue_trial", "end_trial"),
                **not_done("billing_cycle_anchor"),
            },
            ("enabled",),
        ),
    }
)
KINDS: dict[str, Kind] = {
    "business_profile": Fields(
        {"headline": Text(clearable=True), "privacy_policy_url": Url(), "terms_of_service_url": Url()}
    ),
    "default_return_url": Url(),
    "features": FEATURES,
    "metadata": Metadata(),
    "name": Text(clearable=True),
    **not_done("login_page"),
}
PLAIN_FEATURES: Json = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": list(REASONS)},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "products": None,
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "continue_trial",
    },
}


def new_configuration(work: Work, **fields: Any) -> Json:
    is_first = not work.list_all(KIND)
    configuration = work.insert(
        {
            "id": new_id("bpc"),
            "object": KIND,
            "active": True,
            "application": None,
            "business_profile": _profile(fields.get("business_profile", {})),
            "created": work.now,
            "default_return_url": fields.get("default_return_url"),
            "features": _features(PLAIN_FEATURES, fields.get("features", {})),
            "is_default": is_first,
            "livemode": False,
            "login_page": {"enabled": False, "url": None},
            "metadata": fresh(fields.get("metadata")),
            "name": fields.get("name"),
            "updated": work.now,
        }
    )
    work.emit("billing_portal.configuration.created", configuration)
    return configuration


def _profile(told: Json) -> Json:
    return {name: told.get(name) for name in ("headline", "privacy_policy_url", "terms_of_service_url")}


def _features(present: Json, told: Json) -> Json:
    return {name: {**value, **told.get(name, {})} for name, value in present.items()}


def create_configuration(work: Work, ident: str, params: Params) -> Json:
    _check_products(work, params)
    return new_configuration(work, **{name: value for name, value in params.items() if name != "expand"})


def update_configuration(work: Work, ident: str, params: Params) -> Json:
    configuration = work.get(KIND, ident)
    _check_products(work, params)
    changes: Params = {name: params[name] for name in ("active", "default_return_url", "name") if name in params}
    if "business_profile" in params:
        changes["business_profile"] = {**configuration["business_profile"], **params["business_profile"]}
    if "features" in params:
        changes["features"] = _features(configuration["features"], params["features"])
    if "metadata" in params:
        changes["metadata"] = merged(configuration["metadata"], params["metadata"])
    return work.change(configuration, "billing_portal.configuration.updated", **changes, updated=work.now)


def _check_products(work: Work, params: Params) -> None:
    update = params.get("features", {}).get("subscription_update", {})
    for index, entry in enumerate(update.get("products", [])):
        name = f"features[subscription_update][products][{index}]"
        work.referenced("product", entry["product"], param=f"{name}[product]")
        for price in entry["prices"]:
            work.referenced("price", price, param=f"{name}[prices]")


def create_session(work: Work, ident: str, params: Params) -> Json:
    customer = work.referenced("customer", params["customer"], param="customer")
    configuration = _configuration(work, params)
    session_id = new_id("bps")
    session = work.insert(
        {
            "id": session_id,
            "object": "billing_portal.session",
            "configuration": configuration["id"],
            "created": work.now,
            "customer": customer["id"],
            "customer_account": None,
            "flow": None,
            "livemode": False,
            "locale": None,
            "on_behalf_of": None,
            "return_url": params.get("return_url") or configuration["default_return_url"],
            "url": f"{work.base_url}/portal/{session_id}",
        }
    )
    work.emit("billing_portal.session.created", session)
    return session


def _configuration(work: Work, params: Params) -> Json:
    if "configuration" in params:
        return work.referenced(KIND, params["configuration"], param="configuration")
    found = work.list_all(KIND, is_default=True)
    if not found:
        message = "You can't create a portal session until you save a portal configuration."
        raise StripeError(message, param="configuration")
    return found[0]


ROUTES = (
    create(PATH, create_configuration, KINDS, required=("features",)),
    listing(PATH, KIND, {"active": Flag(), "is_default": Flag()}, page=TIMELESS_PAGE),
    retrieve(PATH, KIND),
    create(f"{PATH}/{{id}}", update_configuration, {**KINDS, "active": Flag()}),
    create(
        SESSIONS_PATH,
        create_session,
        {
            "configuration": Text(),
            "customer": Text(),
            "return_url": Url(),
            **not_done("customer_account flow_data locale on_behalf_of"),
        },
        required=("customer",),
    ),
)
