"""What the HTTP routes answer; no answer holds an address."""

from datetime import datetime
from uuid import UUID

from kit.http import ResponseModel
from notifier.domain import Audience, Delivery, State, title_of


class Notification(ResponseModel):
    """A notice as its account sees it."""

    id: UUID
    kind: str
    title: str
    created_at: datetime
    state: State

    @classmethod
    def of(cls, delivery: Delivery) -> "Notification":
        return cls(
            id=delivery.id,
            kind=delivery.kind,
            title=title_of(delivery.kind),
            created_at=delivery.created_at,
            state=delivery.state,
        )


class DeliveryReport(ResponseModel):
    """A delivery as operators see it; `reason` says why it is not, or not fully, sent."""

    id: UUID
    kind: str
    title: str
    audience: Audience
    account_id: UUID | None
    state: State
    attempts: int
    reason: str | None
    created_at: datetime
    next_attempt_at: datetime | None
    settled_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryReport":
        return cls(
            id=delivery.id,
            kind=delivery.kind,
            title=title_of(delivery.kind),
            audience=delivery.audience,
            account_id=delivery.account_id,
            state=delivery.state,
            attempts=delivery.attempts,
            reason=delivery.reason,
            created_at=delivery.created_at,
            next_attempt_at=delivery.next_attempt_at,
            settled_at=delivery.settled_at,
        )
