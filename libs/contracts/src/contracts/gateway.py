"""What gateways say: the one terminal fact about each call, and calls that were refused."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.event import Event, IntString, Part
from contracts.money import BasisPoints, Unit

Outcome = Literal["completed", "client_gone", "upstream_error", "truncated", "refused", "orphaned"]
Basis = Literal["provider", "estimated", "none"]
RefusalReason = Literal["credit"]


class Counts(Part):
    """Tokens and uses as the provider counts them; classes do not overlap."""

    input_tokens: int = Field(default=0, ge=0)
    cache_write_5m_tokens: int = Field(default=0, ge=0)
    cache_write_1h_tokens: int = Field(default=0, ge=0)
    cache_read_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    web_search_requests: int = Field(default=0, ge=0)


class IterationCounts(Part):
    """An iteration that the top level leaves out, at the model that served it."""

    model: str
    counts: Counts


class Allocation(Part):
    """What the hold took from one slice; the ledger burns inside it first (money.md 9)."""

    slice_id: UUID
    unit: Unit
    amount: IntString


class UsageRecorded(Event):
    """How one admitted call ended and what the provider counted; `id` is the call id (UUIDv7). Keyed by account.

    Price is made from what was stamped at admission: `price_book_version`, `plan_version`, `markup_bps`, `admitted_at`.
    """

    type: ClassVar[str] = "gateway.usage-recorded.v1"

    account_id: UUID
    project_id: UUID | None = None
    user_id: UUID | None = None
    api_key_id: UUID | None = None
    gateway_instance: str
    surface: str
    streamed: bool
    model_asked: str
    model_served: str | None = None
    route: str
    outcome: Outcome
    basis: Basis
    http_status: int | None = None
    error_type: str | None = None
    counts: Counts = Counts()
    iterations: tuple[IterationCounts, ...] = ()
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    admitted_at: AwareDatetime
    first_byte_at: AwareDatetime | None = None
    ended_at: AwareDatetime
    price_book_version: int
    plan_id: str | None = None
    plan_version: int | None = None
    markup_bps: BasisPoints
    allocation: tuple[Allocation, ...] = ()
    attempts: int = 1
    upstream_request_id: str | None = None


class CallsRefused(Event):
    """Calls were refused for want of credit; `arming` counts the account's re-armings of its thresholds.

    The first refusal after an arming publishes it at once: id = hash(account, reason, arming).
    """

    type: ClassVar[str] = "gateway.calls-refused.v1"

    account_id: UUID
    reason: RefusalReason
    arming: int
    count: int
    model_asked: str
    required_nano: IntString
    available_nano: IntString
