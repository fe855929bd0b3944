"""Setup intents: permission to charge a saved method later, when the buyer is away."""

from sandbox.stripe.errors import CardError, StripeError
from sandbox.stripe.objects.cards import AUTHENTICATION, decline_of
from sandbox.stripe.objects.metadata import fresh
from sandbox.stripe.objects.payment_methods import attached, referenced_method
from sandbox.stripe.parameters import Choice, Fields, Flag, Kind, ListOf, Metadata, Text, Url, not_done
from sandbox.stripe.routing import Params, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id, visible

PATH = "/v1/setup_intents"
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
CONFIRMABLE: dict[str, Kind] = {
    "payment_method": Text(),
    "return_url": Url(),
    **not_done("confirmation_token mandate_data payment_method_data payment_method_options use_stripe_sdk"),
}
CREATABLE: dict[str, Kind] = {
    **CONFIRMABLE,
    "automatic_payment_methods": Fields(
        {"enabled": Flag(), "allow_redirects": Choice("always", "never")}, required=("enabled",)
    ),
    "confirm": Flag(),
    "customer": Text(),
    "description": Text(max_length=1000),
    "metadata": Metadata(),
    "payment_method_types": ListOf(Choice("card", "us_bank_account")),
    "usage": Choice("off_session", "on_session"),
    **not_done(
        "attach_to_self customer_account excluded_payment_method_types flow_directions on_behalf_of "
        "payment_method_configuration single_use"
    ),
}


def new_setup(work: Work, *, customer_id: str | None, params: Params) -> Json:
    ident = new_id("seti")
    setup = work.insert(
        {
            "id": ident,
            "object": "setup_intent",
            "application": None,
            "automatic_payment_methods": None,
            "cancellation_reason": None,
            "client_secret": f"{ident}_{new_id('secret')}",
            "created": work.now,
            "customer": customer_id,
            "customer_account": None,
            "description": params.get("description"),
            "excluded_payment_method_types": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "mandate": None,
            "metadata": fresh(params.get("metadata")),
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": params.get("usage", "off_session"),
        }
    )
    work.emit("setup_intent.created", setup)
    return setup


def create_setup(work: Work, ident: str, params: Params) -> Json:
    if "customer" in params:
        work.referenced("customer", params["customer"], param="customer")
    setup = new_setup(work, customer_id=params.get("customer"), params=params)
    if "payment_method" in params:
        method = referenced_method(work, params["payment_method"])
        work.change(setup, None, payment_method=method["id"], status="requires_confirmation")
    return _confirmed(work, setup) if params.get("confirm") else setup


def confirm_setup(work: Work, ident: str, params: Params) -> Json:
    setup = work.get("setup_intent", ident)
    if setup["status"] not in OPEN:
        message = f"This SetupIntent is {setup['status']} and cannot be confirmed."
        raise StripeError(message, code="setup_intent_unexpected_state")
    if "payment_method" in params:
        work.change(setup, None, payment_method=referenced_method(work, params["payment_method"])["id"])
    return _confirmed(work, setup)


def _confirmed(work: Work, setup: Json) -> Json:
    if setup["payment_method"] is None:
        message = "You cannot confirm this SetupIntent because it's missing a payment method."
        raise StripeError(message, code="setup_intent_unexpected_state")
    method = work.get("payment_method", setup["payment_method"])
    match method["_attach"]:
        case "succeeded":
            return succeed_setup(work, setup, method)
        case "authentication_required":
            url = f"{work.base_url}/authenticate/{setup['id']}"
            action = {"redirect_to_url": {"return_url": None, "url": url}, "type": "redirect_to_url"}
            work.change(setup, None, next_action=action, status="requires_action")
            work.emit("setup_intent.requires_action", setup)
            return setup
        case code:
            fail_setup(work, setup, method, code=code)
            told = decline_of(code)
            raise CardError(**told, setup_intent=visible(setup), payment_method=visible(method))


def succeed_setup(work: Work, setup: Json, method: Json) -> Json:
    if setup["customer"]:
        attached(work, method, customer_id=setup["customer"])
    told = {"last_setup_error": None, "next_action": None, "payment_method": method["id"]}
    work.change(setup, None, status="succeeded", **told)
    work.emit("setup_intent.succeeded", setup)
    return setup


def fail_setup(work: Work, setup: Json, method: Json, *, code: str) -> Json:
    told = {**decline_of(code), "payment_method": visible(method), "type": "card_error"}
    work.change(
        setup, None, last_setup_error=told, next_action=None, payment_method=None, status="requires_payment_method"
    )
    work.emit("setup_intent.setup_failed", setup)
    return setup


def authenticate_setup(work: Work, setup: Json, *, succeeds: bool) -> Json:
    """The buyer answers the bank's question."""
    if setup["status"] != "requires_action":
        raise StripeError(f"SetupIntent {setup['id']} waits for nobody: it is {setup['status']}.")
    method = work.get("payment_method", setup["payment_method"])
    if succeeds:
        return succeed_setup(work, setup, method)
    return fail_setup(work, setup, method, code=AUTHENTICATION)


def cancel_setup(work: Work, ident: str, params: Params) -> Json:
    setup = work.get("setup_intent", ident)
    if setup["status"] not in OPEN:
        message = f"You cannot cancel this SetupIntent because it has a status of {setup['status']}."
        raise StripeError(message, code="setup_intent_unexpected_state")
    work.change(setup, None, status="canceled", cancellation_reason=params.get("cancellation_reason"), next_action=None)
    work.emit("setup_intent.canceled", setup)
    return setup


ROUTES = (
    create(PATH, create_setup, CREATABLE),
    listing(
        PATH,
        "setup_intent",
        {"customer": Text(), "payment_method": Text(), **not_done("attach_to_self customer_account")},
    ),
    create(f"{PATH}/{{id}}/confirm", confirm_setup, CONFIRMABLE),
    create(
        f"{PATH}/{{id}}/cancel",
        cancel_setup,
        {"cancellation_reason": Choice("abandoned", "duplicate", "requested_by_customer")},
    ),
    retrieve(PATH, "setup_intent"),
)
