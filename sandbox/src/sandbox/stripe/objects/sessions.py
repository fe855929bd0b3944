"""Checkout sessions: made by billing, paid or left on the pay page, expired when nobody comes."""

from sandbox.stripe.errors import ParameterError, StripeError
from sandbox.stripe.expansion import list_of
from sandbox.stripe.objects.cards import AUTHENTICATION, DECLINES, SUCCEEDED, TEST_METHODS, TestMethod
from sandbox.stripe.objects.customers import ADDRESS_LINES, new_customer
from sandbox.stripe.objects.cycles import after_collection
from sandbox.stripe.objects.intents import attempt_payment, new_intent, outcome_of
from sandbox.stripe.objects.invoices import collect_invoice
from sandbox.stripe.objects.metadata import fresh
from sandbox.stripe.objects.payment_methods import attached, new_method
from sandbox.stripe.objects.session_form import BLANK_SESSION, CREATABLE
from sandbox.stripe.objects.session_items import new_items, taxed
from sandbox.stripe.objects.session_taxes import check_taxes
from sandbox.stripe.objects.setup_intents import fail_setup, new_setup, succeed_setup
from sandbox.stripe.objects.subscriptions import Wanted, begin_subscription
from sandbox.stripe.objects.tax_rates import country_of
from sandbox.stripe.parameters import EXPAND, Choice, Fields, Integer, Text, not_done
from sandbox.stripe.routing import Params, Route, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/checkout/sessions"
SHORTEST_S = 30 * 60
LONGEST_S = 24 * 3600
DAY_S = 24 * 3600
GUEST = "guest@sandbox.invalid"


def create_session(work: Work, ident: str, params: Params) -> Json:
    mode = params["mode"]
    _check_buyer(work, params)
    items = _items(work, params, mode=mode)
    _check_mode_data(params)
    check_taxes(work, params)
    session_id = new_id("cs_test", 58)
    return work.insert(
        {
            **BLANK_SESSION,
            **_told(params, mode=mode),
            "id": session_id,
            **taxed(work, items, is_taxed=_is_taxed(params), country=_country(work, params.get("customer"))),
            "billing_address_collection": params.get("billing_address_collection"),
            "created": work.now,
            "currency": items[0]["currency"] if items else params.get("currency"),
            "customer_details": _details(_known_email(work, params)),
            "expires_at": _expires_at(work, params),
            "url": f"{work.base_url}/pay/{session_id}",
            "_collects_address": params.get("customer_update", {}).get("address") == "auto",
            "_intent": params.get("payment_intent_data", {}),
            "_setup": params.get("setup_intent_data", {}),
            "_line_items": items,
            "_subscription": params.get("subscription_data", {}),
        }
    )


def _is_taxed(params: Params) -> bool:
    return bool(params.get("automatic_tax", {}).get("enabled"))


def _country(work: Work, customer_id: str | None) -> str | None:
    return country_of(work.get("customer", customer_id)) if customer_id else None


def _items(work: Work, params: Params, *, mode: str) -> list[Json]:
    if mode != "setup":
        return new_items(work, params.get("line_items", []), mode=mode)
    if "line_items" in params:
        raise StripeError("You can not pass `line_items` in `setup` mode.", param="line_items")
    if "currency" not in params:
        raise StripeError("You must specify `currency` in `setup` mode.", code="parameter_missing", param="currency")
    return []


def _told(params: Params, *, mode: str) -> Json:
    """The fields that simply repeat the request."""
    names = ("cancel_url", "client_reference_id", "customer", "customer_email", "locale", "submit_type")
    guest_rule = params.get("customer_creation", "if_required") if mode == "payment" else "always"
    return {
        **{name: params.get(name) for name in names},
        "customer_creation": None if "customer" in params else guest_rule,
        "metadata": fresh(params.get("metadata")),
        "mode": mode,
        "payment_method_collection": "if_required" if mode == "payment" else "always",
        "success_url": params["success_url"],
    }


def _check_buyer(work: Work, params: Params) -> None:
    if "customer" in params and "customer_email" in params:
        raise StripeError("You may only specify one of these parameters: customer, customer_email.", param="customer")
    if "customer" in params:
        work.referenced("customer", params["customer"], param="customer")


def _check_mode_data(params: Params) -> None:
    carriers = {"payment": "payment_intent_data", "setup": "setup_intent_data", "subscription": "subscription_data"}
    for mode, carrier in carriers.items():
        if mode != params["mode"] and carrier in params:
            raise StripeError(f"You can not pass `{carrier}` in `{params['mode']}` mode.", param=carrier)


def _expires_at(work: Work, params: Params) -> int:
    expires_at = int(params.get("expires_at", work.now + LONGEST_S))
    if not work.now + SHORTEST_S <= expires_at <= work.now + LONGEST_S:
        message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from now."
        raise ParameterError(message, param="expires_at")
    return expires_at


def _known_email(work: Work, params: Params) -> str | None:
    if "customer" in params:
        email: str | None = work.get("customer", params["customer"])["email"]
        return email
    return params.get("customer_email")


def _details(email: str | None) -> Json | None:
    if email is None:
        return None
    unknown = ("address", "business_name", "individual_name", "name", "phone")
    return {**dict.fromkeys(unknown), "email": email, "tax_exempt": "none", "tax_ids": []}


def _located(work: Work, session: Json, *, country: str | None) -> str | None:
    """Where the buyer is: as they say now, else as is known. The sums are made anew for it."""
    if not session["automatic_tax"]["enabled"]:
        return country
    found = country or _country(work, session["customer"])
    if found is None:
        raise StripeError("The buyer must say in which country they are.", code="customer_tax_location_invalid")
    items = session["_line_items"]
    work.change(session, None, **taxed(work, items, is_taxed=True, country=found), _line_items=items)
    return found


def _keep_country(work: Work, session: Json, customer_id: str | None, *, country: str | None) -> None:
    if country is None or customer_id is None or not (session["_collects_address"] or session["customer"] is None):
        return
    customer = work.get("customer", customer_id)
    address = {**dict.fromkeys(ADDRESS_LINES), **(customer["address"] or {}), "country": country}
    work.change(customer, "customer.updated", address=address)


def pay_session(work: Work, session: Json, *, card: str, email: str | None = None, country: str | None = None) -> Json:
    """The buyer presses the button: what follows is what this test payment method brings about."""
    _check_open(work, session)
    located = _located(work, session, country=country)
    known = (session["customer_details"] or {}).get("email")
    buyer = known or email or GUEST
    told = TEST_METHODS[card]
    if told.charge in DECLINES and told.charge != AUTHENTICATION:
        return _decline(work, session, told=told, email=buyer)
    customer_id = _customer_id(work, session, email=buyer)
    changes = {"customer": customer_id, "customer_details": _details(buyer)}
    _keep_country(work, session, customer_id, country=located)
    method = new_method(work, told, email=buyer, country=located)
    bought = BUYING[session["mode"]](work, {**session, **changes}, method)
    paid = {"payment_status": "no_payment_required"} if session["mode"] == "setup" else {"payment_status": "paid"}
    work.change(session, None, **changes, **{**paid, **bought}, status="complete", url=None)
    work.emit("checkout.session.completed", session)
    return session


def _check_open(work: Work, session: Json) -> None:
    if session["status"] == "open" and session["expires_at"] > work.now:
        return
    status = "expired" if session["status"] == "open" else session["status"]
    raise StripeError(f"This Checkout Session is {status}; only an open one can be paid.")


def _customer_id(work: Work, session: Json, *, email: str) -> str | None:
    if session["customer"] or session["customer_creation"] != "always":
        return session["customer"] and str(session["customer"])
    return str(new_customer(work, email=email)["id"])


def _buy_once(work: Work, session: Json, method: Json) -> Json:
    intent = _intent(work, session)
    work.change(intent, None, customer=session["customer"])
    outcome = outcome_of(method, off_session=False)
    # Whoever stands before the page answers the bank's question there.
    outcome = SUCCEEDED if outcome == "requires_action" else outcome
    attempt_payment(work, intent, method=method, outcome=outcome, email=session["customer_details"]["email"])
    is_paid = intent["status"] == "succeeded"
    return {"payment_intent": intent["id"], "payment_status": "paid" if is_paid else "unpaid"}


def _save_method(work: Work, session: Json, method: Json) -> Json:
    told = session["_setup"]
    setup = new_setup(work, customer_id=session["customer"], params=told)
    succeed_setup(work, setup, method)
    return {"setup_intent": setup["id"]}


def _subscribe(work: Work, session: Json, method: Json) -> Json:
    customer = work.get("customer", session["customer"])
    attached(work, method, customer_id=customer["id"])
    told = session["_subscription"]
    days = told.get("trial_period_days")
    wanted = Wanted(
        customer=customer,
        items=[(work.get("price", item["price"]["id"]), item["quantity"]) for item in session["_line_items"]],
        metadata=told.get("metadata") or {},
        description=told.get("description"),
        method_id=method["id"],
        trial_end=work.now + days * DAY_S if days else None,
        trial_settings=told.get("trial_settings"),
        automatic_tax=session["automatic_tax"]["enabled"],
    )
    subscription, invoice = begin_subscription(work, wanted)
    if invoice["status"] == "open":
        outcome = outcome_of(method, off_session=False)
        collect_invoice(work, invoice, method=method, outcome=SUCCEEDED if outcome == "requires_action" else outcome)
        after_collection(work, invoice)
    status = (
        "no_payment_required" if invoice["amount_due"] == 0 else "paid" if invoice["status"] == "paid" else "unpaid"
    )
    return {"subscription": subscription["id"], "invoice": invoice["id"], "payment_status": status}


BUYING = {"payment": _buy_once, "setup": _save_method, "subscription": _subscribe}


def _decline(work: Work, session: Json, *, told: TestMethod, email: str) -> Json:
    """The session stays open: the buyer may try again."""
    method = new_method(work, told, email=email)
    if session["mode"] == "setup":
        setup = new_setup(work, customer_id=session["customer"], params=session["_setup"])
        fail_setup(work, setup, method, code=told.charge)
        return session
    intent = _intent(work, session)
    attempt_payment(work, intent, method=method, outcome=told.charge, email=email)
    return session


def end_async_payment(work: Work, intent: Json, *, outcome: str) -> None:
    """A transfer that a buyer began at checkout has arrived, or has not."""
    for session in work.list_all("checkout.session", payment_intent=intent["id"], status="complete"):
        if outcome == SUCCEEDED:
            work.change(session, None, payment_status="paid")
            work.emit("checkout.session.async_payment_succeeded", session)
        else:
            work.emit("checkout.session.async_payment_failed", session)


def _intent(work: Work, session: Json) -> Json:
    """One intent for all tries at a session."""
    if tried := session.get("_tried_intent"):
        return work.get("payment_intent", tried)
    told = session["_intent"]
    intent = new_intent(
        work,
        amount_minor=session["amount_total"],
        currency=session["currency"],
        customer_id=session["customer"],
        description=told.get("description"),
        metadata=fresh(told.get("metadata")),
        setup_future_usage=told.get("setup_future_usage"),
    )
    shown = {"payment_intent": intent["id"]} if session["mode"] == "payment" else {}
    work.change(session, None, **shown, _tried_intent=intent["id"])
    return intent


def expire_session(work: Work, ident: str, params: Params) -> Json:
    session = work.get("checkout.session", ident)
    if session["status"] != "open":
        message = f"Only Checkout Sessions that are open can be expired; this one is {session['status']}."
        raise StripeError(message)
    return expire_session_now(work, session)


def expire_session_now(work: Work, session: Json) -> Json:
    work.change(session, None, status="expired", url=None)
    work.emit("checkout.session.expired", session)
    return session


def list_line_items(work: Work, ident: str, params: Params) -> Json:
    session = work.get("checkout.session", ident)
    return list_of(session["_line_items"], url=f"{PATH}/{ident}/line_items")


ROUTES = (
    create(PATH, create_session, CREATABLE, required=("mode", "success_url")),
    listing(
        PATH,
        "checkout.session",
        {
            "customer": Text(),
            "payment_intent": Text(),
            "subscription": Text(),
            "status": Choice("complete", "expired", "open"),
            **not_done("customer_account customer_details payment_link"),
        },
    ),
    Route(
        "GET",
        f"{PATH}/{{id}}/line_items",
        list_line_items,
        Fields({**EXPAND, "limit": Integer(minimum=20, maximum=100), **not_done("ending_before starting_after")}),
    ),
    retrieve(PATH, "checkout.session"),
    create(f"{PATH}/{{id}}/expire", expire_session, {}),
)
