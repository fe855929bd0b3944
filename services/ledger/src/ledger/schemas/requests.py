"""Calls, and why each cost what it cost."""

from datetime import datetime
from uuid import UUID

from kit.http import ResponseModel


class OperationDone(ResponseModel):
    """A customer's own operation. `duplicate_of` is the request that used the idempotency key first and is charged."""

    name: str
    quantity: int
    unit: str
    idempotency_key: str | None
    duplicate_of: UUID | None


class RequestSummary(ResponseModel):
    """One call, charged or not. What the detail of an archived call said is None."""

    id: UUID
    outcome: str
    basis: str | None
    model: str
    model_asked: str | None
    streamed: bool | None
    surface: str | None
    http_status: int | None
    error_type: str | None
    counts: dict[str, int] | None
    operation: OperationDone | None
    price_credits: str
    plan_tokens: int
    plan_requests: int
    overage_credits: str
    api_key_id: UUID | None
    project_id: UUID | None
    user_id: UUID | None
    admitted_at: datetime
    first_byte_at: datetime | None
    ended_at: datetime | None


class PriceLine(ResponseModel):
    """A quantity at a unit price, times a ratio where the call had one. `amount_credits` is before markup."""

    kind: str
    model: str
    quantity: int
    unit_price_credits: str
    ratio: str
    amount_credits: str


class BurntGrant(ResponseModel):
    """What a call took from a grant; without one, what became overage or debt."""

    grant_id: UUID | None
    source: str
    unit: str
    amount_credits: str | None
    amount: str | None


class RequestTransfer(ResponseModel):
    """A movement that the call caused; `hash` is its link in the account's chain."""

    sequence: int
    type: str
    source: str
    target: str
    unit: str
    amount_credits: str | None
    amount: str | None
    hash: str | None
    booked_at: datetime
    effective_at: datetime


class Archived(ResponseModel):
    """Where the detail of a call went: the charge and its transfers stay."""

    file: str | None
    archived_at: datetime | None


class RequestExplained(RequestSummary):
    """Why a call cost what it cost. `cost_credits` is for operators only.

    `token_weights` are hundredths of a plan token per token of each class. `corrections` came after the booking.
    """

    route: str | None
    attempts: int | None
    service_tier: str | None
    inference_geo: str | None
    speed: str | None
    upstream_request_id: str | None
    iterations: list[dict[str, object]]
    allocation: list[dict[str, object]]
    price_book_version: int
    plan: str | None
    plan_version: int | None
    markup_percent: str
    lines: list[PriceLine]
    grants: list[BurntGrant]
    transfers: list[RequestTransfer]
    corrections: list[RequestTransfer]
    token_weights: dict[str, int] | None
    archived: Archived | None
    cost_credits: str | None = None
    booked_at: datetime
