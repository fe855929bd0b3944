"""What the notifier counts; labels come from closed sets."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

DELIVERIES: Final = Counter(
    "faregate_notifier_deliveries_total", "Attempts to deliver, by how they ended.", ["kind", "state"]
)
MAIL_SECONDS: Final = Histogram(
    "faregate_notifier_mail_seconds",
    "From the fact to its mail in the mail server's hands.",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
)
PENDING: Final = Gauge("faregate_notifier_pending_deliveries", "Deliveries that are not settled.")
PENDING_AGE: Final = Gauge("faregate_notifier_pending_oldest_seconds", "Age of the oldest unsettled delivery.")
BOUNCES: Final = Counter("faregate_notifier_bounces_total", "Bounces and complaints that were told us.", ["type"])
STREAMS: Final = Gauge("faregate_notifier_streams", "People who watch their feed live.")
OPERATOR_ALERTS: Final = Counter("faregate_notifier_operator_alerts_total", "Alerts for operators.", ["origin"])
