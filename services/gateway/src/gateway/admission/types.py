"""What callers of admission hand in and get back, and what admission needs from the rest of the gateway."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, Protocol
from uuid import UUID

from contracts.gateway import Allocation as BookedAllocation
from contracts.gateway import RefusalReason
from contracts.ledger import BalanceChanged
from gateway.admission.terms import AccountTerms
from kit.errors import UnavailableError

__all__ = [
    "ADMISSION_RETRY_S",
    "NOTHING",
    "AccountTerms",
    "AdmissionRequest",
    "AdmissionUnavailableError",
    "Admitted",
    "Allocation",
    "Amounts",
    "BudgetInUse",
    "Decision",
    "ExtendAnswer",
    "HeldCall",
    "Left",
    "LimitState",
    "OrphanPublisher",
    "Rate",
    "RefusalReason",
    "Refused",
    "Replan",
    "SettleAnswer",
    "SnapshotSource",
    "SpooledCalls",
    "UnknownAccountError",
]

ADMISSION_RETRY_S: Final = 1

SettleAnswer = Literal["ok", "confirmed", "pending"]
"""`pending`: Redis did not answer; the settlement is tried again in the background until it works."""

ExtendAnswer = Literal["confirmed", "swept"]


class AdmissionUnavailableError(UnavailableError):
    """Redis, or the ledger when state must be rebuilt, does not answer: nothing can be admitted now."""

    code = "admission_unavailable"

    def __init__(self, detail: str = "Calls cannot be admitted at the moment; try again.") -> None:
        super().__init__(detail, retry_after_s=ADMISSION_RETRY_S)


class UnknownAccountError(AdmissionUnavailableError):
    """The ledger has not heard of the account yet: sign-up travels by events."""

    code = "account_not_ready"

    def __init__(self) -> None:
        super().__init__("The account is being set up; try again.")


class Allocation(NamedTuple):
    """`contracts.gateway.Allocation` as the call path keeps it: a slice's id as text, nothing parsed."""

    slice_id: str
    unit: str
    amount: int


class Amounts(NamedTuple):
    """What a call is worth in every unit.

    `credit_nano` is its price, markup included; `tokens` are weighted plan tokens; `overage_nano` is the price of all
    of it at the plan's overage rate; `rate_tokens` are input and cache writes; `cost_nano` is the provider's price.
    """

    credit_nano: int = 0
    tokens: int = 0
    requests: int = 1
    overage_nano: int = 0
    rate_tokens: int = 0
    cost_nano: int = 0


NOTHING: Final = Amounts(requests=0)


class Left(NamedTuple):
    """What could be held after this answer, by unit; credits are negative where something is owed."""

    credit_nano: int = 0
    tokens: int = 0
    requests: int = 0
    overage_nano: int = 0


NOTHING_LEFT: Final = Left()


class Rate(NamedTuple):
    """One limit: what it is, what is left of it, when all of it is there again (None: not by waiting)."""

    limit: int
    remaining: int
    reset_ms: int | None = None

    @property
    def reset_at(self) -> datetime | None:
        return None if self.reset_ms is None else datetime.fromtimestamp(self.reset_ms / 1000, tz=UTC)


@dataclass(slots=True)
class LimitState:
    """The state of an account's limits for an answer's headers; None is unlimited.

    `utilisation` is the used share, 0 to 1, of what was last granted in the plan's unit; it comes anew at `renews_at`.
    """

    requests: Rate | None = None
    tokens: Rate | None = None
    concurrency: Rate | None = None
    member_concurrency: Rate | None = None
    utilisation: float | None = None
    renews_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class AdmissionRequest:
    """A call that wants a hold.

    `report` is opaque JSON: what is needed to report the call as orphaned; a sweep gives it back. `near` says whether
    the amounts are those of an account near its limit; None: whichever holds. `expires_at` makes it a customer's own
    hold: no gateway keeps it alive, the sweeper ends it then. `people` is what `packed_people` makes of who asks, where
    that has been made before.
    """

    call_id: UUID
    account_id: UUID
    model: str
    amounts: Amounts
    terms: AccountTerms
    user_id: UUID | None = None
    project_id: UUID | None = None
    api_key_id: UUID | None = None
    near: bool | None = False
    max_tokens: int = 0
    report: bytes = b"{}"
    expires_at: datetime | None = None
    people: str = ""


@dataclass(slots=True)
class Admitted:
    """The hold, and what was stamped at admission; `admitted_at` is Redis time and decides grants, period and price.

    `open`: Redis was away, and the call goes on the plan's open allowance, without an allocation.
    """

    call_id: UUID
    account_id: UUID
    admitted_at: datetime
    amounts: Amounts
    allocation: tuple[Allocation, ...]
    plan_id: str | None
    plan_version: int | None
    markup_bps: int
    near: bool = False
    left: Left = NOTHING_LEFT
    limits: LimitState = field(default_factory=LimitState)
    open: bool = False

    @property
    def reserved_nano(self) -> int:
        return self.amounts.credit_nano

    @property
    def available_nano(self) -> int:
        return self.left.credit_nano


@dataclass(slots=True, kw_only=True)
class Refused:
    """Nothing was taken. `first_of_arming`: the first refusal for credit since the account was armed anew.

    `limit` names what refused (`requests_per_minute`, `budget:api_key:day`); `retry_after_s` is None where waiting
    does not help; `resets_at` is when the budget or allowance comes anew.
    """

    reason: RefusalReason
    required: Amounts
    left: Left = NOTHING_LEFT
    limits: LimitState = field(default_factory=LimitState)
    limit: str | None = None
    retry_after_s: float | None = None
    resets_at: datetime | None = None
    arming: int = 0
    first_of_arming: bool = False

    @property
    def required_nano(self) -> int:
        return self.required.credit_nano

    @property
    def available_nano(self) -> int:
        return self.left.credit_nano


@dataclass(frozen=True, slots=True)
class Replan:
    """The request was made by other terms, or for an account that is (not) near its limit: make it anew, ask again."""

    terms: AccountTerms
    near: bool


Decision = Admitted | Refused | Replan


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCall:
    """An entry as it stands in Redis: enough to make the usage event of a customer's hold."""

    call_id: UUID
    account_id: UUID
    state: Literal["held", "ended", "swept"]
    admitted_at: datetime
    expires_at: datetime | None
    amounts: Amounts
    allocation: tuple[Allocation, ...]
    plan_id: str | None
    plan_version: int | None
    markup_bps: int
    report: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetInUse:
    """One budget: what the books count in the window, and what stands on calls that are not booked."""

    scope: str
    scope_id: str
    window: str
    limit_nano: int
    spent_nano: int
    in_flight_nano: int
    resets_at: datetime | None


class SnapshotSource(Protocol):
    """The ledger's answer to a reload or to a question about entries."""

    async def snapshot(self, account_id: UUID, calls: Sequence[UUID]) -> BalanceChanged:
        """The account's admission state; `applied` names those of `calls` that are booked.

        Raises `UnknownAccountError` or `AdmissionUnavailableError`.
        """
        ...


class Unacknowledged(Protocol):
    """An ended call whose event Kafka does not have; `memo` is `Admission.memo`'s, empty for one worth nothing."""

    @property
    def account_id(self) -> UUID: ...

    @property
    def memo(self) -> bytes: ...


SpooledCalls = Callable[[], AsyncIterator[Sequence[Unacknowledged]]]
"""All of them, some at a time: a spool is larger than memory. May raise `OSError`."""

OrphanPublisher = Callable[[UUID, UUID, bytes, tuple[BookedAllocation, ...], datetime], Awaitable[None]]
"""`(account_id, call_id, report, allocation, admitted_at)`: publish `orphaned` for a swept call.

May be called again for the same call until the ledger has booked it; raises when the event could not be stored.
"""
