"""Billing meters, the events they count, and what they have counted."""

import re
from typing import Any, Final

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.meter_errors import report_error
from sandbox.stripe.objects.usage import RECORD, aggregated, records_of
from sandbox.stripe.parameters import EXPAND, TIMELESS_PAGE, Choice, Fields, Integer, Kind, Metadata, Text, not_done
from sandbox.stripe.routing import Params, Route, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/billing/meters"
EVENTS_PATH = "/v1/billing/meter_events"
ADJUSTMENTS_PATH = "/v1/billing/meter_event_adjustments"
OLDEST_S: Final = 35 * 24 * 3600
AHEAD_S: Final = 5 * 60
IDENTIFIER_S: Final = 24 * 3600
"""How long an identifier is known: the least that Stripe promises, so that nobody relies on more."""
WINDOWS_S = {"hour": 3600, "day": 24 * 3600}
WHOLE = re.compile(r"-?[0-9]{1,15}")
KEY = Text(max_length=100)
CREATABLE: dict[str, Kind] = {
    "customer_mapping": Fields(
        {"event_payload_key": KEY, "type": Choice("by_id")}, required=("event_payload_key", "type")
    ),
    "default_aggregation": Fields({"formula": Choice("count", "last", "sum")}, required=("formula",)),
    "display_name": Text(max_length=250),
    "event_name": KEY,
    "event_time_window": Choice("day", "hour"),
    "value_settings": Fields({"event_payload_key": KEY}, required=("event_payload_key",)),
}


def create_meter(work: Work, ident: str, params: Params) -> Json:
    if work.list_all("billing.meter", event_name=params["event_name"], status="active"):
        message = f"There is already an active meter for event name {params['event_name']}."
        raise StripeError(message, code="resource_already_exists", param="event_name")
    mapping = params.get("customer_mapping", {"event_payload_key": "stripe_customer_id", "type": "by_id"})
    meter = work.insert(
        {
            "id": new_id("mtr_test"),
            "object": "billing.meter",
            "created": work.now,
            "customer_mapping": mapping,
            "default_aggregation": params["default_aggregation"],
            "display_name": params["display_name"],
            "event_name": params["event_name"],
            "event_time_window": params.get("event_time_window"),
            "livemode": False,
            "status": "active",
            "status_transitions": {"deactivated_at": None},
            "updated": work.now,
            "value_settings": params.get("value_settings", {"event_payload_key": "value"}),
        }
    )
    work.emit("billing.meter.created", meter)
    return meter


def update_meter(work: Work, ident: str, params: Params) -> Json:
    meter = work.get("billing.meter", ident)
    changes = {name: params[name] for name in ("display_name",) if name in params}
    return work.change(meter, "billing.meter.updated", **changes, updated=work.now)


def deactivate_meter(work: Work, ident: str, params: Params) -> Json:
    return _switched(work, ident, active=False)


def reactivate_meter(work: Work, ident: str, params: Params) -> Json:
    return _switched(work, ident, active=True)


def _switched(work: Work, ident: str, *, active: bool) -> Json:
    meter = work.get("billing.meter", ident)
    if (meter["status"] == "active") == active:
        raise StripeError(f"Meter {ident} is {meter['status']} already.")
    transitions = {"deactivated_at": None if active else work.now}
    event = "billing.meter.reactivated" if active else "billing.meter.deactivated"
    status = "active" if active else "inactive"
    return work.change(meter, event, status=status, status_transitions=transitions, updated=work.now)


def report_usage(work: Work, ident: str, params: Params) -> Json:
    """Accepted if its form is right; whether it counts is found out afterwards, as at Stripe."""
    timestamp = int(params.get("timestamp", work.now))
    identifier = params.get("identifier") or new_id("mtre")
    customer = _customer(work, params)
    _check_time(work, timestamp)
    _check_identifier(work, identifier, event_name=params["event_name"])
    event = {
        "object": "billing.meter_event",
        "created": work.now,
        "event_name": params["event_name"],
        "identifier": identifier,
        "livemode": False,
        "payload": params["payload"],
        "timestamp": timestamp,
    }
    _keep(work, event, customer=customer)
    return event


def _customer(work: Work, params: Params) -> Json | None:
    """Looked up first: a customer who lives by a test clock brings that clock's time along."""
    meters = work.list_all("billing.meter", event_name=params["event_name"])
    key = meters[0]["customer_mapping"]["event_payload_key"] if meters else "stripe_customer_id"
    return work.find("customer", params["payload"].get(key, ""))


def _check_time(work: Work, timestamp: int) -> None:
    if timestamp < work.now - OLDEST_S:
        message = "The event timestamp must be within the past 35 calendar days."
        raise StripeError(message, code="timestamp_too_far_in_past", param="timestamp")
    if timestamp > work.now + AHEAD_S:
        message = "The event timestamp must not be more than 5 minutes in the future."
        raise StripeError(message, code="timestamp_in_future", param="timestamp")


def _check_identifier(work: Work, identifier: str, *, event_name: str) -> None:
    known = work.list_all(RECORD, identifier=identifier, event_name=event_name)
    if any(record["received"] > work.announced_at - IDENTIFIER_S for record in known):
        message = f"An event already exists with identifier {identifier}."
        raise StripeError(message, code="duplicate_meter_event", param="identifier")


def _keep(work: Work, event: Json, *, customer: Json | None) -> None:
    meters = work.list_all("billing.meter", event_name=event["event_name"])
    active = next((meter for meter in meters if meter["status"] == "active"), None)
    problem, value = _judged(event, meters=meters, active=active, customer=customer)
    record: dict[str, Any] = {
        "id": new_id("mtrr"),
        "object": RECORD,
        "created": work.now,
        "customer": customer and customer["id"],
        "event_name": event["event_name"],
        "identifier": event["identifier"],
        "meter": active and active["id"],
        "received": work.announced_at,
        "state": "rejected" if problem else "counted",
        "timestamp": event["timestamp"],
        "value": value,
    }
    work.insert(record)
    if problem:
        report_error(work, meters[0] if meters else None, event, code=problem)


def _judged(
    event: Json, *, meters: list[Json], active: Json | None, customer: Json | None
) -> tuple[str | None, str | None]:
    """Why the event does not count, or None; and its value."""
    if active is None:
        return "archived_meter" if meters else "no_meter", None
    if active["customer_mapping"]["event_payload_key"] not in event["payload"]:
        return "meter_event_no_customer_defined", None
    if customer is None:
        return "meter_event_customer_not_found", None
    is_count = active["default_aggregation"]["formula"] == "count"
    value = "1" if is_count else event["payload"].get(active["value_settings"]["event_payload_key"], "")
    return (None, value) if WHOLE.fullmatch(value) else ("meter_event_invalid_value", None)


def adjust_usage(work: Work, ident: str, params: Params) -> Json:
    """Takes one event back, while its identifier is still known."""
    identifier = params["cancel"]["identifier"]
    records = work.list_all(RECORD, identifier=identifier, event_name=params["event_name"], state="counted")
    fresh = [record for record in records if record["received"] > work.announced_at - IDENTIFIER_S]
    if not fresh:
        message = f"No meter event with identifier {identifier} can be cancelled: none of the last 24 hours has it."
        raise StripeError(message, code="resource_missing", param="cancel[identifier]")
    work.change(fresh[0], None, state="cancelled")
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": params["event_name"],
        "livemode": False,
        "status": "pending",
        "type": "cancel",
    }


def list_summaries(work: Work, ident: str, params: Params) -> Json:
    """What the meter counted for a customer: in all, or by hour or day, newest first."""
    meter = work.get("billing.meter", ident)
    start, end = params["start_time"], params["end_time"]
    step = WINDOWS_S.get(params.get("value_grouping_window", ""))
    if start % (step or 60) or end % (step or 60) or start >= end:
        message = "start_time and end_time must be in order and align with the boundaries of the grouping window."
        raise StripeError(message, param="start_time")
    work.referenced("customer", params["customer"], param="customer")
    edges = list(range(start, end, step)) if step else [start]
    data = []
    for edge in edges:
        until = edge + step if step else end
        found = records_of(work, meter, customer_id=params["customer"], start=edge, end=until)
        if found or step is None:
            data.append(_summary(meter, aggregated(meter, found), start=edge, end=until))
    limit = params.get("limit", 10)
    newest, url = data[::-1], f"{PATH}/{ident}/event_summaries"
    position = 0
    if "starting_after" in params:
        position = next((index + 1 for index, one in enumerate(newest) if one["id"] == params["starting_after"]), 0)
    page = newest[position : position + limit]
    return {"object": "list", "data": page, "has_more": len(newest) > position + limit, "url": url}


def _summary(meter: Json, value: int, *, start: int, end: int) -> Json:
    return {
        "id": f"mtrusg_test_{start}_{end}",
        "object": "billing.meter_event_summary",
        "aggregated_value": value,
        "end_time": end,
        "livemode": False,
        "meter": meter["id"],
        "start_time": start,
    }


ROUTES = (
    create(PATH, create_meter, CREATABLE, required=("default_aggregation", "display_name", "event_name")),
    listing(PATH, "billing.meter", {"status": Choice("active", "inactive")}, page=TIMELESS_PAGE),
    Route(
        "GET",
        f"{PATH}/{{id}}/event_summaries",
        list_summaries,
        Fields(
            {
                **TIMELESS_PAGE,
                "customer": Text(),
                "start_time": Integer(),
                "end_time": Integer(),
                "value_grouping_window": Choice("day", "hour"),
                **not_done("ending_before"),
            },
            ("customer", "start_time", "end_time"),
        ),
    ),
    create(f"{PATH}/{{id}}/deactivate", deactivate_meter, {}),
    create(f"{PATH}/{{id}}/reactivate", reactivate_meter, {}),
    retrieve(PATH, "billing.meter"),
    create(f"{PATH}/{{id}}", update_meter, {"display_name": Text(max_length=250)}),
    Route(
        "POST",
        EVENTS_PATH,
        report_usage,
        Fields(
            {**EXPAND, "event_name": KEY, "identifier": KEY, "payload": Metadata(), "timestamp": Integer()},
            ("event_name", "payload"),
        ),
    ),
    Route(
        "POST",
        ADJUSTMENTS_PATH,
        adjust_usage,
        Fields(
            {
                **EXPAND,
                "cancel": Fields({"identifier": KEY}, ("identifier",)),
                "event_name": KEY,
                "type": Choice("cancel"),
            },
            ("cancel", "event_name", "type"),
        ),
    ),
)
