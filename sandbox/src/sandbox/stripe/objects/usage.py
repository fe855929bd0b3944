"""What meters have counted: the records behind meter events, summed over minutes."""

from sandbox.stripe.store import Json
from sandbox.stripe.work import Work

RECORD = "sandbox.meter_record"


def records_of(work: Work, meter: Json, *, customer_id: str, start: int, end: int) -> list[Json]:
    """The meter's events of a customer with a time in [start, end) that nobody took back, oldest first."""
    found = work.list_all(RECORD, meter=meter["id"], customer=customer_id, state="counted")
    return sorted((one for one in found if start <= one["timestamp"] < end), key=lambda one: one["timestamp"])


def usage_of(work: Work, meter_id: str, *, customer_id: str, start: int, end: int) -> int:
    meter = work.get("billing.meter", meter_id)
    return aggregated(meter, records_of(work, meter, customer_id=customer_id, start=start, end=end))


def aggregated(meter: Json, records: list[Json]) -> int:
    values = [int(record["value"]) for record in records]
    match meter["default_aggregation"]["formula"]:
        case "count":
            return len(values)
        case "last":
            return values[-1] if values else 0
    return sum(values)
