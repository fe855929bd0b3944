"""Payment methods: the documented test ones, saved to customers and taken away again."""

from typing import Any

from sandbox.stripe.errors import CardError, MissingError, NotDoneError, StripeError
from sandbox.stripe.listing import list_page
from sandbox.stripe.objects.cards import AUTHENTICATION, DECLINES, TEST_METHODS, TestMethod, decline_of
from sandbox.stripe.objects.metadata import fresh
from sandbox.stripe.parameters import EXPAND, TIMELESS_PAGE, Choice, Fields, Kind, Metadata, Text, not_done
from sandbox.stripe.routing import Params, Route, create, listing
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/payment_methods"
NO_ADDRESS = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}
TYPES = Choice("card", "us_bank_account", not_done=("sepa_debit", "link", "paypal"))
TOKENS = {"tok_visa": "pm_card_visa", "tok_mastercard": "pm_card_mastercard"}
CREATABLE: dict[str, Kind] = {
    "type": Choice("card", not_done=("us_bank_account", "sepa_debit", "link", "paypal")),
    "card": Fields({"token": Text()}, required=("token",)),
    "metadata": Metadata(),
    **not_done("allow_redisplay billing_details customer payment_method"),
}


def new_method(work: Work, told: TestMethod, *, customer_id: str | None = None, **fields: Any) -> Json:
    """A method of its own, as Stripe makes when one of the documentation's names is used."""
    details = _card(told) if told.kind == "card" else _bank_account(told)
    return work.insert(
        {
            "id": new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {
                "address": {**NO_ADDRESS, "country": fields.get("country")},
                "email": fields.get("email"),
                "name": None,
                "phone": None,
                "tax_id": None,
            },
            "created": work.now,
            "customer": customer_id,
            "customer_account": None,
            told.kind: details,
            "livemode": False,
            "metadata": fresh(fields.get("metadata")),
            "type": told.kind,
            "_attach": told.attach,
            "_charge": told.charge,
        }
    )


def _card(told: TestMethod) -> Json:
    return {
        "brand": told.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": told.brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": None,
        "funding": "credit",
        "generated_from": None,
        "last4": told.last4,
        "networks": {"available": [told.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _bank_account(told: TestMethod) -> Json:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": None,
        "last4": told.last4,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": None,
    }


def find_method(work: Work, ident: str) -> Json | None:
    """One of ours, or a new one for a name of the documentation."""
    if ident in TEST_METHODS:
        return new_method(work, TEST_METHODS[ident])
    if ident.startswith(("pm_card_", "pm_usBankAccount")) and work.find("payment_method", ident) is None:
        raise NotDoneError(f"the test payment method {ident}", param="payment_method")
    return work.find("payment_method", ident)


def referenced_method(work: Work, ident: str, *, param: str = "payment_method") -> Json:
    return find_method(work, ident) or work.referenced("payment_method", ident, param=param)


def create_method(work: Work, ident: str, params: Params) -> Json:
    if "card" not in params:
        raise StripeError("Missing required param: card.", code="parameter_missing", param="card")
    token = params["card"]["token"]
    name = TOKENS.get(token)
    if name is None:
        raise NotDoneError(f"the test token {token}", param="card[token]")
    return new_method(work, TEST_METHODS[name], metadata=params.get("metadata"))


def attach_method(work: Work, ident: str, params: Params) -> Json:
    method = find_method(work, ident)
    if method is None:
        raise MissingError("PaymentMethod", ident)
    customer = work.referenced("customer", params["customer"], param="customer")
    if method["_attach"] in DECLINES and method["_attach"] != AUTHENTICATION:
        raise CardError(**decline_of(method["_attach"]))
    return attached(work, method, customer_id=customer["id"])


def attached(work: Work, method: Json, *, customer_id: str) -> Json:
    """A method belongs to one customer for good; one that was taken away cannot be used again."""
    if method["customer"] == customer_id:
        return method
    if method["customer"] or method.get("_detached"):
        message = (
            "The payment method you provided has already been attached to a customer, or was previously used "
            "without being attached; it may not be used again."
        )
        raise StripeError(message, code="payment_method_unexpected_state", param="payment_method")
    work.change(method, None, customer=customer_id)
    work.emit("payment_method.attached", method)
    return method


def detach_method(work: Work, ident: str, params: Params) -> Json:
    method = work.get("payment_method", ident)
    if method["customer"] is None:
        message = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise StripeError(message, param="payment_method")
    customer = work.get("customer", method["customer"])
    if customer["invoice_settings"]["default_payment_method"] == ident:
        settings = {**customer["invoice_settings"], "default_payment_method": None}
        work.change(customer, "customer.updated", invoice_settings=settings)
    for subscription in work.list_all("subscription", customer=customer["id"], default_payment_method=ident):
        work.change(subscription, "customer.subscription.updated", default_payment_method=None)
    before = {"customer": method["customer"]}
    work.change(method, None, customer=None, _detached=True)
    work.emit("payment_method.detached", method, before=before)
    return method


def list_of_customer(work: Work, ident: str, params: Params) -> Json:
    work.get("customer", ident)
    where = {"customer": ident} | {name: params[name] for name in ("type",) if name in params}
    return list_page(work, "payment_method", url=f"/v1/customers/{ident}/payment_methods", params=params, where=where)


def retrieve_method(work: Work, ident: str, params: Params) -> Json:
    method = work.find("payment_method", ident)
    if method is None:
        raise MissingError("PaymentMethod", ident)
    return method


def find_chargeable(work: Work, customer: Json, *, preferred: str | None = None) -> Json | None:
    """What an invoice is collected from: the subscription's own method, else the customer's default."""
    ident = preferred or customer["invoice_settings"]["default_payment_method"]
    method = work.find("payment_method", ident) if ident else None
    return method if method and method["customer"] == customer["id"] else None


ROUTES = (
    create(PATH, create_method, CREATABLE, required=("type",)),
    listing(
        PATH,
        "payment_method",
        {"customer": Text(), "type": TYPES, **not_done("allow_redisplay customer_account")},
        page=TIMELESS_PAGE,
    ),
    Route("GET", f"{PATH}/{{id}}", retrieve_method, Fields(EXPAND)),
    create(
        f"{PATH}/{{id}}/attach",
        attach_method,
        {"customer": Text(), **not_done("customer_account")},
        required=("customer",),
    ),
    create(f"{PATH}/{{id}}/detach", detach_method, {}),
    Route(
        "GET",
        "/v1/customers/{id}/payment_methods",
        list_of_customer,
        Fields(
            {
                **TIMELESS_PAGE,
                "type": TYPES,
                **not_done("allow_redisplay"),
            }
        ),
    ),
)
