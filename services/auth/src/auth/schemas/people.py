"""The caller, their accounts and sessions."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from contracts.auth import Role
from kit.http import ResponseModel


class ProjectAnswer(ResponseModel):
    id: UUID
    name: str
    default: bool


class AccountAnswer(ResponseModel):
    """An account of the user; `plan` is for display only."""

    id: UUID
    kind: Literal["personal", "team"]
    name: str | None
    state: str
    activated: bool
    role: Role
    plan: str | None
    projects: list[ProjectAnswer]


class UserAnswer(ResponseModel):
    """`email` is left out for callers with an API key."""

    id: UUID
    email: str | None
    email_verified: bool
    operator: bool
    second_factor: bool
    deletion_due_at: datetime | None
    created_at: datetime


class MeAnswer(ResponseModel):
    """The caller: who it is, and in which account and by which credential this request was made."""

    user: UserAnswer
    accounts: list[AccountAnswer]
    account_id: UUID
    role: str
    session_id: UUID | None
    api_key_id: UUID | None
    project_id: UUID | None
    impersonated: bool = Field(description="whether an operator looks at this as the user")


class SessionAnswer(ResponseModel):
    """`client_id` is the program that holds it, if it is one that the user let in."""

    id: UUID
    client_id: str | None
    device: str
    network: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool
    operator: bool = Field(description="an operator who looks at things as this user, and changes nothing")
    reason: str | None = Field(description="why the operator looks")
