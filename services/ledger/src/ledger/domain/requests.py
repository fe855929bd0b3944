from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFilter:
    """Which calls to list; None is any."""

    account_id: UUID
    user_id: UUID | None = None
    admitted_from: datetime | None = None
    admitted_to: datetime | None = None
    model: str | None = None
    outcome: str | None = None
    api_key_id: UUID | None = None
    project_id: UUID | None = None
    min_price_nano: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFilter:
    """Which movements to list; None is any."""

    account_id: UUID
    kind: str | None = None
    booked_from: datetime | None = None
    booked_to: datetime | None = None
