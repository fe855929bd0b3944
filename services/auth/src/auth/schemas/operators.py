"""What operators see of users and accounts, and do to them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import StringConstraints

from kit.http import RequestModel, ResponseModel

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]


class ReasonRequest(RequestModel):
    """Why: it stands in the log that the user's admins and other operators read."""

    reason: Reason


class UserStateRequest(ReasonRequest):
    state: Literal["active", "disabled"]


class AccountStateRequest(ReasonRequest):
    state: Literal["open", "frozen"]


class OperatedUserAnswer(ResponseModel):
    id: UUID
    email: str
    email_verified: bool
    state: Literal["active", "disabled", "deleted"]
    operator: bool
    deletion_due_at: datetime | None
    created_at: datetime


class OperatedAccountAnswer(ResponseModel):
    id: UUID
    kind: Literal["personal", "team"]
    name: str | None
    state: Literal["open", "frozen", "closed"]
    created_at: datetime
