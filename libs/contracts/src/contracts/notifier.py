"""What the notifier says."""

from typing import ClassVar
from uuid import UUID

from contracts.event import Event


class DeliveryFailed(Event):
    """A message was given up after its last try; the reason holds no address."""

    type: ClassVar[str] = "notifier.delivery-failed.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("delivery_id",)

    delivery_id: UUID
    account_id: UUID | None = None
    kind: str
    channel: str
    reason: str
