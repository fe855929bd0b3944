"""What callers of admission hand in and get back, and what admission needs from the rest of the gateway."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol
from uuid import UUID

from contracts.gateway import Allocation
from contracts.ledger import BalanceChanged
from kit.errors import UnavailableError

ADMISSION_RETRY_S: Final = 1

RefusalReason = Literal["credit", "frozen", "closed", "model_not_allowed", "too_many_unconfirmed", "amount_too_large"]
SettleAnswer = Literal["ok", "confirmed", "pending"]
"""`pending`: Redis did not answer; the settlement is tried again in the background until it works."""


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


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """A call that wants a hold; `cost_nano` is its worst-case provider cost before markup, rounded up.

    `report` is opaque JSON: what is needed to report the call as orphaned; a sweep gives it back.
    """

    call_id: UUID
    account_id: UUID
    cost_nano: int
    model: str
    report: bytes


@dataclass(frozen=True, slots=True)
class Admitted:
    """The hold, and what was stamped at admission; `admitted_at` is Redis time and decides grants, period and price."""

    call_id: UUID
    admitted_at: datetime
    reserved_nano: int
    markup_bps: int
    plan_id: str | None
    plan_version: int | None
    allocation: tuple[Allocation, ...]
    available_nano: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was taken. `first_of_arming`: the first refusal for credit since the account was armed anew."""

    reason: RefusalReason
    available_nano: int
    required_nano: int
    arming: int
    first_of_arming: bool


class SnapshotSource(Protocol):
    """The ledger's answer to a reload or to a question about entries."""

    async def snapshot(self, account_id: UUID, calls: Sequence[UUID]) -> BalanceChanged:
        """The account's admission state; `applied` names those of `calls` that are booked.

        Raises `UnknownAccountError` or `AdmissionUnavailableError`.
        """
        ...


OrphanPublisher = Callable[[UUID, UUID, bytes, tuple[Allocation, ...], datetime], Awaitable[None]]
"""`(account_id, call_id, report, allocation, admitted_at)`: publish `orphaned` for a swept call.

May be called again for the same call until the ledger has booked it; raises when the event could not be stored.
"""
