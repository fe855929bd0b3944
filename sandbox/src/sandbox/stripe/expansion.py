"""`expand[]`: ids replaced by the objects they name, and lists included that are left out by default."""

from collections.abc import Callable

from sandbox.stripe.errors import NotDoneError, ParameterError
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, visible

MAX_DEPTH = 4

TARGETS = {
    "charge": "charge",
    "balance_transaction": "balance_transaction",
    "customer": "customer",
    "default_price": "price",
    "invoice": "invoice",
    "latest_charge": "charge",
    "latest_invoice": "invoice",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
    "default_payment_method": "payment_method",
    "setup_intent": "setup_intent",
    "test_clock": "test_helpers.test_clock",
    "price": "price",
    "product": "product",
    "subscription": "subscription",
}
SOURCES = {"ch": "charge", "re": "refund", "du": "dispute"}
NOT_DONE = {"default_source", "transfer"}

Inclusion = Callable[[Work, Json], Json]


def list_of(bodies: list[Json], *, url: str) -> Json:
    """A list that comes whole inside another object."""
    return {"object": "list", "data": [visible(body) for body in bodies], "has_more": False, "url": url}


def _line_items(work: Work, session: Json) -> Json:
    items = session["_line_items"]
    for item in items:
        item["price"] = visible(work.get("price", item["price"]["id"]))
    return list_of(items, url=f"/v1/checkout/sessions/{session['id']}/line_items")


def _payments(work: Work, invoice: Json) -> Json:
    bodies = work.list_all("invoice_payment", invoice=invoice["id"])
    return list_of(bodies, url=f"/v1/invoice_payments?invoice={invoice['id']}")


def _refunds(work: Work, charge: Json) -> Json:
    return list_of(work.list_all("refund", charge=charge["id"]), url=f"/v1/charges/{charge['id']}/refunds")


INCLUDED: dict[tuple[str, str], Inclusion] = {
    ("checkout.session", "line_items"): _line_items,
    ("invoice", "payments"): _payments,
    ("charge", "refunds"): _refunds,
}


def expand(work: Work, body: Json, paths: list[str]) -> Json:
    """A copy of the object, or of the page of objects, as the API shows it, with every path expanded."""
    shown = visible(body)
    if shown["object"] == "list":
        shown["data"] = [visible(item) for item in shown["data"]]
    for index, path in enumerate(paths):
        segments = path.split(".")
        if len(segments) > MAX_DEPTH:
            message = f"You cannot expand more than {MAX_DEPTH} levels of a property ({path})."
            raise ParameterError(message, param=f"expand[{index}]")
        _walk(work, shown, segments, path=path)
    return shown


def _walk(work: Work, node: Json, segments: list[str], *, path: str) -> None:
    name, rest = segments[0], segments[1:]
    value = _opened(work, node, name, path=path)
    node[name] = value
    if value is None:
        return
    branches = value if isinstance(value, list) else [value]
    for branch in branches:
        if not isinstance(branch, dict):
            raise _not_expandable(path)
        if rest:
            _walk(work, branch, rest, path=path)


def _opened(work: Work, node: Json, name: str, *, path: str) -> object:
    kind = node.get("object", "")
    if (kind, name) in INCLUDED and name not in node:
        return INCLUDED[kind, name](work, work.get(kind, node["id"]))
    if name in NOT_DONE and name in node:
        raise NotDoneError(f"expanding '{name}'", param="expand")
    if name not in node or isinstance(node[name], bool | int):
        raise _not_expandable(path)
    value = node[name]
    if not isinstance(value, str):
        return value
    target = SOURCES.get(value.split("_")[0]) if name == "source" else TARGETS.get(name)
    if target is None:
        raise _not_expandable(path)
    return visible(work.get(target, value))


def _not_expandable(path: str) -> ParameterError:
    return ParameterError(f"This property cannot be expanded ({path}).", param="expand")
