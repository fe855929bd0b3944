"""What billing counts; labels hold no ids."""

from typing import Final

from prometheus_client import Counter

WEBHOOKS_RECEIVED: Final = Counter(
    "faregate_billing_webhooks_total", "Events of Stripe's that were stored.", ["type", "source"]
)
WEBHOOKS_FORGED: Final = Counter("faregate_billing_webhooks_forged_total", "Webhooks without a valid signature.")
WEBHOOKS_ENDED: Final = Counter("faregate_billing_webhooks_ended_total", "Events by how they ended.", ["state"])
