"""What was wrong with meter events, told afterwards by thin events: an id and a type; the rest has to be fetched."""

from datetime import UTC, datetime

from sandbox.stripe.errors import MissingError
from sandbox.stripe.parameters import Fields, Kind, ListOf, Text
from sandbox.stripe.routing import Params, Route
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

THIN = "v2.core.event"
PATH = "/v2/core/events"
TOLD: dict[str, Kind] = {"usage": ListOf(Text())}
"""The SDK says of itself how it came to ask; Stripe takes no notice."""
MESSAGES = {
    "archived_meter": "The meter is archived.",
    "meter_event_customer_not_found": "The customer of the event does not exist.",
    "meter_event_invalid_value": "The value of the event is missing or not a whole number.",
    "meter_event_no_customer_defined": "The payload names no customer.",
    "no_meter": "No meter has this event name.",
}


def report_error(work: Work, meter: Json | None, event: Json, *, code: str) -> None:
    """Stripe gathers a few minutes of errors into one report; here each event has its own at once."""
    kind = "v1.billing.meter.error_report_triggered" if meter else "v1.billing.meter.no_meter_found"
    now = _written(work.announced_at)
    sample = {"error_message": MESSAGES[code], "request": {"identifier": event["identifier"]}}
    reason = {"error_count": 1, "error_types": [{"code": code, "error_count": 1, "sample_errors": [sample]}]}
    related = (
        {"id": meter["id"], "type": "billing.meter", "url": f"/v1/billing/meters/{meter['id']}"} if meter else None
    )
    thin = work.insert(
        {
            "id": new_id("evt_test"),
            "object": THIN,
            "context": None,
            "created": now,
            "data": {
                "developer_message_summary": "There is 1 invalid event.",
                "reason": reason,
                "validation_end": now,
                "validation_start": now,
            },
            "livemode": False,
            "reason": None,
            "related_object": related,
            "type": kind,
            "_created": work.announced_at,
            "_delivered": work.switches.webhook_url is None,
        }
    )
    work.send(thin)


def _written(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def notification_of(event: Json) -> Json:
    """What is delivered: no data, only where to ask."""
    return {
        name: event[name]
        for name in ("id", "object", "context", "created", "livemode", "reason", "related_object", "type")
    }


def retrieve_event(work: Work, ident: str, params: Params) -> Json:
    event = work.find(THIN, ident)
    if event is None:
        raise MissingError("event", ident)
    return event


ROUTES = (Route("GET", f"{PATH}/{{id}}", retrieve_event, Fields(TOLD)),)
