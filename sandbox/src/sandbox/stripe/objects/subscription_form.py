"""What a subscription accepts, and what in it never differs here."""

from sandbox.stripe.parameters import (
    AUTOMATIC_TAX,
    Choice,
    Fields,
    Flag,
    Integer,
    Kind,
    ListOf,
    Metadata,
    Only,
    Text,
    Word,
    not_done,
)
from sandbox.stripe.store import Json

REASONS = (
    "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex",
    "too_expensive", "unused",
)  # fmt: skip
CANCELLATION = Fields({"comment": Text(clearable=True), "feedback": Choice(*REASONS), **not_done("feedback_option")})
PRORATION = Choice("always_invoice", "create_prorations", "none")
ITEM: dict[str, Kind] = {
    "metadata": Metadata(),
    "price": Text(),
    "quantity": Integer(maximum=999_999),
    **not_done("billing_thresholds discounts price_data tax_rates"),
}
ITEM_CHANGE: dict[str, Kind] = {**ITEM, "deleted": Flag(), "id": Text(), "clear_usage": Only(Flag(), False)}
TRIAL_SETTINGS = Fields(
    {
        "end_behavior": Fields(
            {"missing_payment_method": Choice("cancel", "create_invoice", "pause")},
            required=("missing_payment_method",),
        )
    },
    required=("end_behavior",),
)
SHARED: dict[str, Kind] = {
    "automatic_tax": AUTOMATIC_TAX,
    "cancel_at": Word(Integer(), "", not_done=("max_billed_until", "max_period_end", "min_period_end")),
    "cancel_at_period_end": Flag(),
    "collection_method": Choice("charge_automatically", not_done=("send_invoice",)),
    "default_payment_method": Text(),
    "description": Text(max_length=500, clearable=True),
    "metadata": Metadata(),
    "off_session": Flag(),
    "payment_behavior": Choice(
        "allow_incomplete", "default_incomplete", "error_if_incomplete", not_done=("pending_if_incomplete",)
    ),
    "proration_behavior": PRORATION,
    "trial_end": Word(Integer(), "now"),
    "trial_settings": TRIAL_SETTINGS,
    **not_done(
        "add_invoice_items application_fee_percent billing_schedules billing_thresholds days_until_due default_source "
        "default_tax_rates discounts invoice_settings on_behalf_of pending_invoice_item_interval transfer_data "
        "trial_from_plan payment_settings"
    ),
}
CREATABLE: dict[str, Kind] = {
    **SHARED,
    "cancel_at": Integer(),
    "customer": Text(),
    "items": ListOf(Fields(ITEM, required=("price",)), max_items=20),
    "trial_period_days": Integer(minimum=1, maximum=730),
    **not_done(
        "backdate_start_date billing_cycle_anchor billing_cycle_anchor_config billing_mode currency customer_account"
    ),
}
UPDATABLE: dict[str, Kind] = {
    **SHARED,
    "billing_cycle_anchor": Choice("now", "unchanged"),
    "cancellation_details": CANCELLATION,
    "items": ListOf(Fields(ITEM_CHANGE), max_items=20),
    "pause_collection": Word(
        Fields(
            {"behavior": Choice("keep_as_draft", "mark_uncollectible", "void"), "resumes_at": Integer()},
            required=("behavior",),
        ),
        "",
    ),
    "proration_date": Integer(),
}
CANCELLABLE: dict[str, Kind] = {"cancellation_details": CANCELLATION, "invoice_now": Flag(), "prorate": Flag()}
RESUMABLE: dict[str, Kind] = {
    "billing_cycle_anchor": Choice("now", not_done=("unchanged",)),
    "proration_behavior": PRORATION,
    **not_done("proration_date"),
}
BLANK: Json = {
    "object": "subscription",
    "application": None,
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor_config": None,
    "billing_mode": {"flexible": None, "type": "flexible"},
    "billing_schedules": [],
    "billing_thresholds": None,
    "cancel_at": None,
    "cancel_at_period_end": False,
    "canceled_at": None,
    "cancellation_details": {"comment": None, "feedback": None, "feedback_option": None, "reason": None},
    "collection_method": "charge_automatically",
    "customer_account": None,
    "days_until_due": None,
    "default_payment_method": None,
    "default_source": None,
    "default_tax_rates": [],
    "discounts": [],
    "ended_at": None,
    "invoice_settings": {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "issuer": {"type": "self"},
    },
    "latest_invoice": None,
    "livemode": False,
    "next_pending_invoice_item_invoice": None,
    "on_behalf_of": None,
    "pause_collection": None,
    "payment_settings": {
        "payment_method_options": None,
        "payment_method_types": None,
        "save_default_payment_method": "off",
    },
    "pending_invoice_item_interval": None,
    "pending_setup_intent": None,
    "pending_update": None,
    "schedule": None,
    "status": "incomplete",
    "test_clock": None,
    "transfer_data": None,
    "trial_end": None,
    "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    "trial_start": None,
}
