"""A notice as its readers see it."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from kit.http import ResponseModel
from notifier.domain.delivering import State
from notifier.domain.feeding import Told
from notifier.domain.kinds import title_of

PriorityName = Literal["urgent", "high", "normal", "low"]


class Notification(ResponseModel):
    """`summary` says it in one line; `state` is how its mail fares."""

    id: UUID
    kind: str
    title: str
    summary: str
    priority: PriorityName
    created_at: datetime
    read_at: datetime | None
    state: State

    @classmethod
    def of(cls, told: Told, *, summary: str, language: str) -> "Notification":
        return cls(
            id=told.id,
            kind=told.kind,
            title=title_of(told.kind, language=language),
            summary=summary,
            priority=told.priority.name.lower(),
            created_at=told.created_at,
            read_at=told.read_at,
            state=told.state,
        )


class UnreadAnswer(ResponseModel):
    """How many notices the caller has not read."""

    unread: int
