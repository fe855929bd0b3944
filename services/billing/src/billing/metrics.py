"""What billing counts; labels hold no ids."""

from typing import Final

from prometheus_client import Counter, Gauge

WEBHOOKS_RECEIVED: Final = Counter(
    "faregate_billing_webhooks_total", "Events of Stripe's that were stored.", ["type", "source"]
)
WEBHOOKS_FORGED: Final = Counter("faregate_billing_webhooks_forged_total", "Webhooks without a valid signature.")
WEBHOOKS_ENDED: Final = Counter("faregate_billing_webhooks_ended_total", "Events by how they ended.", ["state"])
ATTEMPTS: Final = Counter(
    "faregate_billing_attempts_total",
    "Payments asked for while nobody was there, by what became of them.",
    ["purpose", "outcome"],
)
TOP_UPS_OFTEN: Final = Gauge(
    "faregate_billing_top_ups_often",
    "Accounts that topped up by themselves more often in a day than is usual.",
    multiprocess_mode="livemax",
)
TOP_UPS_OVERDUE: Final = Gauge(
    "faregate_billing_top_ups_overdue",
    "Accounts that are below their threshold and were not topped up.",
    multiprocess_mode="livemax",
)
OVERAGE_REPORTED: Final = Counter(
    "faregate_billing_overage_reports_total", "Tries to tell Stripe's meter of overage, by how they ended.", ["outcome"]
)
OVERAGE_STRANDED: Final = Gauge(
    "faregate_billing_overage_stranded",
    "Accounts whose use past a plan has waited for a day for a subscription that bills it.",
    multiprocess_mode="livemax",
)
OVERAGE_GIVEN_BACK: Final = Counter(
    "faregate_billing_overage_credits_total", "Reductions of overage that were put on a customer's next invoice."
)
TAX_COLLECTS_NOTHING: Final = Gauge(
    "faregate_billing_tax_collects_nothing",
    "1 while taxes are switched on and Stripe, asked again, collects none.",
    multiprocess_mode="livemax",
)
TAX_NOT_PLACED: Final = Counter(
    "faregate_billing_tax_not_placed_total", "Payments made without taxes because nobody knows where the customer is."
)
OVERAGE_DIFFERED: Final = Counter(
    "faregate_billing_overage_differences_total", "Periods in which Stripe's meter did not have what we reported."
)
