"""What was used: which window, counted how."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

Granularity = Literal["hour", "day", "month", "total"]
Group = Literal["model", "project", "key", "member"]

COLUMNS: Final[dict[Group, str]] = {
    "model": "model",
    "project": "project_id",
    "key": "api_key_id",
    "member": "user_id",
}
CLASSES: Final = (
    "input_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cache_read_tokens",
    "output_tokens",
)
NOBODY: Final = UUID(int=0)
"""Stands for an absent project, key or member in daily sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """Sums of calls over `[starts_at, ends_at)`; a filter that is None is any."""

    account_id: UUID
    starts_at: datetime
    ends_at: datetime
    granularity: Granularity
    groups: tuple[Group, ...] = ()
    user_id: UUID | None = None
    model: str | None = None
    project_id: UUID | None = None
    api_key_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class DaySpend:
    """What one UTC day took of an account."""

    day: date
    value_nano: int
    price_nano: int
    plan_tokens: int
    overage_nano: int
