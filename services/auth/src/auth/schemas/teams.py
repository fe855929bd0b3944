"""Teams, members, invitations, projects."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from auth.schemas.budgets import BudgetBodies, BudgetBody
from auth.schemas.common import Address, Label
from auth.schemas.passwords import Proof
from contracts.auth import Role
from kit.http import RequestModel, ResponseModel


class TeamRequest(RequestModel):
    name: Label


class ChangeAccountRequest(RequestModel):
    """What is left out stays as it is."""

    name: Label | None = None
    budgets: BudgetBodies | None = None


class OwnAccountAnswer(ResponseModel):
    id: UUID
    kind: Literal["personal", "team"]
    name: str | None
    state: str
    budgets: list[BudgetBody]
    created_at: datetime


class SwitchRequest(RequestModel):
    account_id: UUID


class SwitchAnswer(ResponseModel):
    """The refresh token stays; its next tokens are for this account."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # a scheme
    expires_in: int
    account_id: UUID


class TransferRequest(Proof):
    user_id: UUID


class MemberAnswer(ResponseModel):
    """A member; `email` is left out where the caller may not manage members."""

    user_id: UUID
    email: str | None
    role: Role
    budgets: list[BudgetBody]


class ChangeMemberRequest(RequestModel):
    """What is left out stays as it is."""

    role: Role | None = None
    budgets: BudgetBodies | None = None


class InvitationRequest(RequestModel):
    email: Address
    role: Literal["admin", "developer", "user"]


class InvitationAnswer(ResponseModel):
    id: UUID
    email: str
    role: Role
    invited_by: UUID
    created_at: datetime
    expires_at: datetime


class JoinedAnswer(ResponseModel):
    account_id: UUID
    role: Role


class ProjectRequest(RequestModel):
    name: Label
    budgets: BudgetBodies = ()


class ChangeProjectRequest(RequestModel):
    """What is left out stays as it is; archiving revokes the project's keys for good."""

    name: Label | None = None
    state: Literal["active", "archived"] | None = None
    budgets: BudgetBodies | None = None


class OwnProjectAnswer(ResponseModel):
    id: UUID
    name: str
    default: bool
    state: Literal["active", "archived"]
    budgets: list[BudgetBody]
    created_at: datetime
