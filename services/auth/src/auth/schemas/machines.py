"""Service accounts, shared projects, and operators who look as a user does."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from auth.schemas.budgets import BudgetBodies, BudgetBody
from auth.schemas.common import Label
from auth.schemas.operators import ReasonRequest
from contracts.auth import Role
from kit.http import RequestModel, ResponseModel

MachineRole = Literal["admin", "developer", "user"]


class ServiceAccountRequest(RequestModel):
    """A machine of the account; give it API keys with `service_account_id`."""

    name: Label
    role: MachineRole
    budgets: BudgetBodies = ()


class ChangeServiceAccountRequest(RequestModel):
    """What is left out stays as it is; keys of a disabled one are refused until it is active again."""

    name: Label | None = None
    role: MachineRole | None = None
    state: Literal["active", "disabled"] | None = None
    budgets: BudgetBodies | None = None


class ServiceAccountAnswer(ResponseModel):
    id: UUID
    name: str
    role: Role
    state: Literal["active", "disabled", "deleted"]
    budgets: list[BudgetBody]
    created_by: UUID
    created_at: datetime


class ShareRequest(RequestModel):
    """`read` shows the other account what the project used; `use` also lets the other project call at its cost."""

    with_project_id: UUID
    access: Literal["read", "use"]


class ShareAnswer(ResponseModel):
    """`given` by the caller's account, or `received` by it."""

    id: UUID
    direction: Literal["given", "received"]
    account_id: UUID
    project_id: UUID
    project_name: str
    with_account_id: UUID
    with_project_id: UUID
    access: Literal["read", "use"]
    created_at: datetime


class ImpersonateRequest(ReasonRequest):
    """In one of the user's accounts, their own when none is named."""

    account_id: UUID | None = None
    minutes: Annotated[int, Field(strict=True, ge=1, le=10)] = 10


class ImpersonationAnswer(ResponseModel):
    """An access token that reads as the user does and changes nothing."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # a scheme
    expires_in: int
    session_id: UUID
    user_id: UUID
    account_id: UUID
