"""Test clocks: customers who live in a time of their own, which moves only when it is told to."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.parameters import TIMELESS_PAGE, Fields, Integer, Kind, Text, not_done
from sandbox.stripe.passing import pass_time
from sandbox.stripe.routing import Params, Route, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/test_helpers/test_clocks"
KIND = "test_helpers.test_clock"
KEPT_S = 30 * 24 * 3600
MOST_INTERVALS = 2
INTERVALS_S = {"day": 24 * 3600, "week": 7 * 24 * 3600, "month": 31 * 24 * 3600, "year": 366 * 24 * 3600}
CREATABLE: dict[str, Kind] = {"frozen_time": Integer(), "name": Text(max_length=300), **not_done("customer")}


def create_clock(work: Work, ident: str, params: Params) -> Json:
    clock = work.insert(
        {
            "id": new_id("clock"),
            "object": KIND,
            "created": work.now,
            "deletes_after": work.now + KEPT_S,
            "frozen_time": params["frozen_time"],
            "livemode": False,
            "name": params.get("name"),
            "status": "ready",
            "status_details": {},
            "_passed_to": params["frozen_time"],
        }
    )
    work.emit("test_helpers.test_clock.created", clock)
    return clock


def advance_clock(work: Work, ident: str, params: Params) -> Json:
    """All that falls due on the way has happened when this answers; at Stripe it goes on behind the answer."""
    clock = work.get(KIND, ident)
    target = params["frozen_time"]
    if target <= clock["frozen_time"]:
        raise StripeError("The new frozen_time must be after the clock's present one.", param="frozen_time")
    _check_distance(work, clock, target=target)
    work.change(clock, None, status="advancing")
    work.emit("test_helpers.test_clock.advancing", clock)
    pass_time(work, until=target, clock=ident)
    work.change(clock, None, frozen_time=target, status="ready", _passed_to=target)
    work.emit("test_helpers.test_clock.ready", clock)
    return clock


def _check_distance(work: Work, clock: Json, *, target: int) -> None:
    """No more than two intervals of the shortest subscription at once."""
    intervals = [
        INTERVALS_S[item["price"]["recurring"]["interval"]] * item["price"]["recurring"]["interval_count"]
        for subscription in work.list_all("subscription", test_clock=clock["id"])
        for item in subscription["items"]["data"]
    ]
    if intervals and target - clock["frozen_time"] > MOST_INTERVALS * min(intervals):
        message = "The clock can be advanced by at most two intervals of its shortest subscription."
        raise StripeError(message, param="frozen_time")


def delete_clock(work: Work, ident: str, params: Params) -> Json:
    """Its customers go with it."""
    clock = work.get(KIND, ident)
    for subscription in work.list_all("subscription", test_clock=ident):
        work.store.delete(subscription["id"])
    for invoice in work.list_all("invoice", test_clock=ident):
        work.store.delete(invoice["id"])
    for customer in work.list_all("customer", test_clock=ident):
        work.store.delete(customer["id"])
    work.store.delete(ident)
    work.emit("test_helpers.test_clock.deleted", clock)
    return {"id": ident, "object": KIND, "deleted": True}


ROUTES = (
    create(PATH, create_clock, CREATABLE, required=("frozen_time",)),
    Route(
        "GET",
        PATH,
        listing(PATH, KIND, {}).handler,
        Fields(TIMELESS_PAGE),
    ),
    retrieve(PATH, KIND),
    create(f"{PATH}/{{id}}/advance", advance_clock, {"frozen_time": Integer()}, required=("frozen_time",)),
    Route("DELETE", f"{PATH}/{{id}}", delete_clock, Fields({})),
)
