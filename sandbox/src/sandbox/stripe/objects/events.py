"""Events as the API lists them: of the last 30 days, newest first."""

from sandbox.stripe.errors import MissingError, ParameterError
from sandbox.stripe.listing import list_page
from sandbox.stripe.parameters import EXPAND, PAGE, Fields, Flag, Kind, ListOf, Text
from sandbox.stripe.routing import Params, Route
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work

PATH = "/v1/events"
KEPT_S = 30 * 24 * 3600
FILTERS: dict[str, Kind] = {"type": Text(), "types": ListOf(Text(), max_items=20), "delivery_success": Flag()}


def list_events(work: Work, ident: str, params: Params) -> Json:
    if "type" in params and "types" in params:
        raise ParameterError("You may only specify one of type and types.", param="types")
    where: Params = {}
    if wanted := params.get("types") or params.get("type"):
        where["type"] = wanted
    if "delivery_success" in params:
        where["_delivered"] = params["delivery_success"]
    asked = params.get("created", {})
    oldest = max(work.now - KEPT_S, asked.get("gte", 0))
    page = list_page(work, "event", url=PATH, params={**params, "created": {**asked, "gte": oldest}}, where=where)
    return {**page, "data": [_with_pending(work, event) for event in page["data"]]}


def retrieve_event(work: Work, ident: str, params: Params) -> Json:
    event = work.get("event", ident)
    if event["created"] < work.now - KEPT_S:
        raise MissingError("event", ident)
    return _with_pending(work, event)


def _with_pending(work: Work, event: Json) -> Json:
    return {**event, "pending_webhooks": work.deliveries.count_pending(event["id"])}


ROUTES = (
    Route("GET", PATH, list_events, Fields({**PAGE, **FILTERS})),
    Route("GET", f"{PATH}/{{id}}", retrieve_event, Fields(EXPAND)),
)
