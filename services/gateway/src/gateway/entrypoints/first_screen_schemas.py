"""What `/me` and `/api/auth/me` answer. Money is a decimal string in credits (1 credit = 1 USD)."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from gateway.entrypoints.alias_schemas import AliasTokens
from kit.http import ResponseModel


class ScreenUser(ResponseModel):
    """As `GET /auth/me` says it; no `email` for callers with an API key."""

    id: UUID
    email: str | None
    email_verified: bool
    operator: bool
    second_factor: bool
    deletion_due_at: datetime | None
    created_at: datetime


class ScreenProject(ResponseModel):
    id: UUID
    name: str
    default: bool


class ScreenAccount(ResponseModel):
    """An account of the user; `plan` is for display only."""

    id: UUID
    kind: str
    name: str | None
    state: str
    activated: bool
    role: str
    plan: str | None
    projects: list[ScreenProject]


class ScreenUsage(ResponseModel):
    """Usage of the period so far; role `user` sees its own."""

    requests: int
    tokens: AliasTokens
    tokens_used: int
    tokens_left: int | None
    requests_left: int | None
    charge: str
    by_model: dict[str, int]
    complete: bool


class ScreenPeriod(ResponseModel):
    start: datetime
    end: datetime


class FirstScreen(ResponseModel):
    """`GET /me` and `GET /api/auth/me`.

    `plan`, `balance`, `usage` and `period` are those of `account_id`; no balance for role `user`. While the ledger does
    not answer they are null, and `missing` names them.
    """

    user: ScreenUser
    accounts: list[ScreenAccount]
    account_id: UUID
    role: str
    session_id: UUID | None
    api_key_id: UUID | None
    project_id: UUID | None
    impersonated: bool
    plan: str | None
    balance: str | None
    usage: ScreenUsage | None
    period: ScreenPeriod | None
    onboarding: str | None = Field(
        description="`needs_plan`, `trial`, `trial_expired`, `out_of_credit`, `active`, `frozen` or `closed`"
    )
    missing: list[Literal["balance", "onboarding", "period", "usage"]]
