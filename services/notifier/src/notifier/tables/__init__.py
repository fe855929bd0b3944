"""The notifier's rows."""

from notifier.tables.base import Base
from notifier.tables.deliveries import DeliveryRow, DigestItemRow, SubscriptionRow
from notifier.tables.endpoints import EndpointRow
from notifier.tables.people import MailCountRow, PreferenceRow, ReadAllRow, ReadRow, ScheduleRow, SuppressedRow

__all__ = [
    "Base",
    "DeliveryRow",
    "DigestItemRow",
    "EndpointRow",
    "MailCountRow",
    "PreferenceRow",
    "ReadAllRow",
    "ReadRow",
    "ScheduleRow",
    "SubscriptionRow",
    "SuppressedRow",
]
