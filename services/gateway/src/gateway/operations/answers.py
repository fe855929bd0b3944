"""What the routes of operations answer; made once, so that a repetition is the same bytes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from gateway.operations.seal import HoldFacts
from gateway.surfaces.amount_text import credits_text
from rating import Charge


@dataclass(frozen=True, slots=True)
class Ended:
    """How an operation ended, and what is charged for it."""

    state: str
    quantity: int
    charge: Charge
    at: datetime


def hold_answer(facts: HoldFacts, *, hold_id: str, amount_nano: int, state: str = "held") -> bytes:
    """A hold as it stands; `amount_credits` is the most that it can cost."""
    return orjson.dumps({
        "id": hold_id,
        "state": state,
        **_common(facts),
        "quantity": facts.quantity,
        "amount_credits": credits_text(amount_nano),
        "expires_at": facts.expires_at,
    })  # fmt: skip


def ended_answer(facts: HoldFacts, ended: Ended) -> bytes:
    """The facts of a charge."""
    price_nano = ended.charge.price_nano
    return orjson.dumps({
        "state": ended.state,
        **_common(facts),
        "quantity": ended.quantity,
        "price_credits": credits_text(price_nano),
        "ended_at": ended.at,
    })  # fmt: skip


def _common(facts: HoldFacts) -> dict[str, Any]:
    return {
        "request_id": facts.call_id,
        "operation": facts.operation,
        "unit": facts.unit,
        "project_id": facts.project_id,
        "price_book_version": facts.price_book_version,
        "plan": facts.plan_id,
        "plan_version": facts.plan_version,
        "markup_bps": facts.markup_bps,
        "admitted_at": facts.admitted_at,
        "allocation": [_allocated(one.slice_id, one.unit, one.amount) for one in facts.allocation],
    }


def _allocated(slice_id: str, unit: str, amount: int) -> dict[str, Any]:
    shown = credits_text(amount) if unit == "credit" else str(amount)
    return {"slice_id": UUID(slice_id), "unit": unit, "amount": shown}
