"""What operators set and see."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import StringConstraints

from billing.schemas.buying import Instant
from kit.http import RequestModel, ResponseModel


class PathRequest(RequestModel):
    """`unset` leaves it to the wider rule: the flag for all accounts, else the configuration."""

    state: Literal["open", "closed", "unset"]
    account_id: UUID | None = None
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class PathView(ResponseModel):
    """`scope` is `*` for all accounts, or one account's id."""

    path: str
    scope: str
    state: Literal["open", "closed", "unset"]


class PathsAnswer(ResponseModel):
    items: list[PathView]


class ActView(ResponseModel):
    id: UUID
    actor: str
    action: str
    target: str
    reason: str
    recorded_at: Instant

    @classmethod
    def of(cls, act_id: UUID, *, actor: str, action: str, target: str, reason: str, recorded_at: datetime) -> "ActView":
        return cls(id=act_id, actor=actor, action=action, target=target, reason=reason, recorded_at=recorded_at)
