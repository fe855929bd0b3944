"""When something in the store changes by itself because time passes."""

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

INCOMPLETE_FOR_S = 23 * 3600


def due_at(body: Json) -> int | None:
    """The next instant at which this object asks for attention; None when only somebody's doing changes it."""
    rule = RULES.get(body["object"])
    return None if rule is None else rule(body)


def _session(session: Json) -> int | None:
    return int(session["expires_at"]) if session["status"] == "open" else None


def _invoice(invoice: Json) -> int | None:
    if not invoice["auto_advance"]:
        return None
    instant = {"draft": invoice["automatically_finalizes_at"], "open": invoice["next_payment_attempt"]}
    due: int | None = instant.get(invoice["status"])
    return due


def _subscription(subscription: Json) -> int | None:
    match subscription["status"]:
        case "canceled" | "incomplete_expired" | "paused":
            return None
        case "incomplete":
            return int(subscription["created"]) + INCOMPLETE_FOR_S
    ends = [item["current_period_end"] for item in subscription["items"]["data"]]
    resumes_at = (subscription["pause_collection"] or {}).get("resumes_at")
    instants = (*ends, subscription["cancel_at"], resumes_at)
    return min(int(instant) for instant in instants if instant is not None)


RULES = {"checkout.session": _session, "invoice": _invoice, "subscription": _subscription}
