"""Time passes: whatever is due by then happens, each thing at its own instant and in order."""

from sandbox.stripe.objects.cycles import UPDATED, end_subscription, expire_incomplete, finish_cycle, renew_subscription
from sandbox.stripe.objects.sessions import expire_session_now
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work

MOST_STEPS = 10_000


def pass_time(work: Work, *, until: int, clock: str = "") -> int:
    """Bring everything that lives by this clock ('' is the server's own) up to an instant; how much happened."""
    for step in range(MOST_STEPS):
        due = work.store.find_due(until, clock=clock)
        if due is None:
            return step
        at, kind, ident = due
        _reach(work, clock, at=at)
        _happen(work, work.get(kind, ident), at=at)
    raise RuntimeError(f"something stays due however often it is done: {work.store.find_due(until, clock=clock)}")


def _reach(work: Work, clock: str, *, at: int) -> None:
    if clock:
        work.change(work.get("test_helpers.test_clock", clock), None, _passed_to=at)
    work.now = at


def _happen(work: Work, body: Json, *, at: int) -> None:
    match body["object"]:
        case "checkout.session":
            expire_session_now(work, body)
        case "invoice":
            finish_cycle(work, body)
        case "subscription":
            _move_on(work, body, at=at)


def _move_on(work: Work, subscription: Json, *, at: int) -> None:
    if subscription["status"] == "incomplete":
        expire_incomplete(work, subscription)
        return
    pause = subscription["pause_collection"]
    if pause and pause["resumes_at"] is not None and pause["resumes_at"] <= at:
        work.change(subscription, UPDATED, pause_collection=None)
        return
    ends_at = subscription["cancel_at"]
    if ends_at is not None and ends_at <= at and not subscription["cancel_at_period_end"]:
        end_subscription(work, subscription)
        return
    renew_subscription(work, subscription)
