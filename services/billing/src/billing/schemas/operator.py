"""What operators set and see."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from billing.schemas.buying import Instant
from billing.service.taxes import Switched
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


class TaxRequest(RequestModel):
    """Whether taxes are computed for what begins from now on."""

    on: bool
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class TaxView(ResponseModel):
    """`on` with `problems`: Stripe collects nothing any more, silently."""

    on: bool
    countries: list[str] = Field(description="where an active registration collects")
    problems: list[str] = Field(description="what keeps Stripe from collecting; while there is any it stays off")

    @classmethod
    def of(cls, found: Switched) -> "TaxView":
        return cls(on=found.is_on, countries=list(found.standing.countries), problems=list(found.standing.problems))


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
