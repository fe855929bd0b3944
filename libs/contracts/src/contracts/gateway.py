"""What gateways say: the one terminal fact about each call, and calls that were refused."""

from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.event import Event, IntString, Part
from contracts.money import BasisPoints, Unit

Outcome = Literal["completed", "client_gone", "upstream_error", "truncated", "refused", "orphaned"]
Basis = Literal["provider", "estimated", "none"]
RefusalReason = Literal[
    "credit",
    "frozen",
    "closed",
    "model_not_allowed",
    "max_tokens",
    "max_price",
    "requests_per_minute",
    "tokens_per_minute",
    "concurrency",
    "member_concurrency",
    "budget",
    "too_many_unconfirmed",
    "amount_too_large",
    "unavailable",
]


class Counts(Part):
    """Tokens and uses as the provider counts them; classes do not overlap."""

    input_tokens: int = Field(default=0, ge=0)
    cache_write_5m_tokens: int = Field(default=0, ge=0)
    cache_write_1h_tokens: int = Field(default=0, ge=0)
    cache_read_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    web_search_requests: int = Field(default=0, ge=0)
    web_fetch_requests: int = Field(default=0, ge=0)
    code_execution_requests: int = Field(default=0, ge=0)


class IterationCounts(Part):
    """An iteration that the top level leaves out, at the model that served it."""

    model: str
    counts: Counts


class Allocation(Part):
    """What the hold took from one slice; the ledger burns inside it first (money.md 9)."""

    slice_id: UUID
    unit: Unit
    amount: IntString


class ClientInfo(Part):
    """What called, as far as its headers say; a session or agent is an id of the client's own making."""

    sdk: str | None = None
    sdk_version: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    parent_agent_id: str | None = None


class Operation(Part):
    """A customer's own operation instead of a model call: priced by the price book under its name.

    `idempotency_key` is the customer's; `body_sha256` tells a repetition from another request under the same key.
    """

    name: str
    quantity: IntString
    unit: str
    idempotency_key: str | None = None
    body_sha256: str | None = None


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
    credential_id: str | None = None
    basis_reason: str | None = None
    operation: Operation | None = None
    client: ClientInfo | None = None
    near_limit: bool = False


class CallsRefused(Event):
    """Calls of one account that were refused for one reason.

    The first refusal for credit after an arming is published at once: id = hash(account, reason, arming). All others
    are counted, one event per gateway, account, reason and closed minute: then `window_start` is set, and the last
    refusal's figures are given. `arming` counts the account's re-armings of its thresholds.
    """

    type: ClassVar[str] = "gateway.calls-refused.v1"

    account_id: UUID
    reason: RefusalReason
    arming: int
    count: int
    model_asked: str
    required_nano: IntString
    available_nano: IntString
    gateway_instance: str | None = None
    window_start: AwareDatetime | None = None
    limit: str | None = None


class CallsCounted(Event):
    """What one gateway admitted in one closed minute, zero included (money.md 11, 31). Keyed by instance."""

    type: ClassVar[str] = "gateway.calls-counted.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("gateway_instance",)

    gateway_instance: str
    window_start: AwareDatetime
    window_end: AwareDatetime
    admitted: int


class RoutingChanged(Event):
    """An operator's change to a provider, model, alias, route or route set; overrides the file. Keyed by kind and name.

    `spec` is the entry as the configuration file would hold it; None removes the override. Secrets by reference only.
    """

    type: ClassVar[str] = "gateway.routing-changed.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("kind", "name")

    kind: Literal["provider", "model", "alias", "route", "route_set"]
    name: str
    version: int
    enabled: bool | None = None
    spec: dict[str, Any] | None = None
    changed_by: UUID
    reason: str | None = None


class ProviderStateChanged(Event):
    """A route or credential stopped or resumed serving, as one gateway sees it. Keyed by route."""

    type: ClassVar[str] = "gateway.provider-state-changed.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("route",)

    gateway_instance: str
    provider: str
    route: str
    credential_id: str | None = None
    state: Literal["serving", "cooling", "broken"]
    reason: str | None = None
    until: AwareDatetime | None = None
