"""A delivery as operators see it; no answer holds an address."""

from datetime import datetime
from uuid import UUID

from kit.http import ResponseModel
from notifier.domain.delivering import Delivery, State
from notifier.domain.kinds import Audience, title_of


class DeliveryReport(ResponseModel):
    """A delivery as operators see it; `reason` says why it is not, or not fully, sent."""

    id: UUID
    kind: str
    title: str
    audience: Audience
    channel: str
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
            channel=delivery.channel,
            account_id=delivery.account_id,
            state=delivery.state,
            attempts=delivery.attempts,
            reason=delivery.reason,
            created_at=delivery.created_at,
            next_attempt_at=delivery.next_attempt_at,
            settled_at=delivery.settled_at,
        )
