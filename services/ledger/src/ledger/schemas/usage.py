"""What was used."""

from datetime import datetime
from uuid import UUID

from kit.http import ResponseModel


class TokensUsed(ResponseModel):
    """Tokens by class, as the provider counts them."""

    input: int
    cache_write_5m: int
    cache_write_1h: int
    cache_read: int
    output: int


class UsageRow(ResponseModel):
    """One bucket of time and one group; `starts_at` is the bucket's. `cost_credits` is for operators only."""

    starts_at: datetime
    model: str | None = None
    project_id: UUID | None = None
    api_key_id: UUID | None = None
    user_id: UUID | None = None
    calls: int
    failed: int
    tokens: TokensUsed
    plan_tokens: int
    price_credits: str
    cost_credits: str | None = None


class UsageAnswer(ResponseModel):
    """Sums over the whole UTC days (or hours) that the window touches; groups without one of the ids say null."""

    starts_at: datetime
    ends_at: datetime
    granularity: str
    group_by: list[str]
    items: list[UsageRow]
    next_cursor: str | None = None


class MixRow(ResponseModel):
    """How a model's tokens divide over the classes, in millionths that add up to a million."""

    model: str
    calls: int
    shares_ppm: dict[str, int]


class UsageMix(ResponseModel):
    """The last whole days of all accounts."""

    days: int
    models: list[MixRow]
