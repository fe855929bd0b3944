"""What a checkout session accepts, and what in it never differs here."""

from sandbox.stripe.objects.prices import PRODUCT_DATA, RECURRING
from sandbox.stripe.objects.subscription_form import TRIAL_SETTINGS
from sandbox.stripe.parameters import (
    AUTOMATIC_TAX,
    Choice,
    Currency,
    Email,
    Fields,
    Flag,
    Integer,
    Kind,
    ListOf,
    Metadata,
    Only,
    Text,
    Url,
    not_done,
)
from sandbox.stripe.store import Json

# fmt: off
LOCALES = (
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA", "hr", "hu",
    "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl", "sv",
    "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
)
# fmt: on
NEVER = Fields({"enabled": Only(Flag(), False)}, required=("enabled",))
PRICE_DATA = Fields(
    {
        "currency": Currency(),
        "product": Text(),
        "product_data": Fields(
            {
                "name": PRODUCT_DATA.kinds["name"],
                "metadata": Metadata(),
                "unit_label": Text(max_length=12),
                **not_done("description images tax_code tax_details"),
            },
            required=("name",),
        ),
        "recurring": Fields(
            {"interval": RECURRING.kinds["interval"], "interval_count": RECURRING.kinds["interval_count"]},
            required=("interval",),
        ),
        "unit_amount": Integer(),
        "tax_behavior": Choice("exclusive", "inclusive", "unspecified"),
        **not_done("unit_amount_decimal"),
    },
    required=("currency", "unit_amount"),
)
LINE_ITEM = Fields(
    {
        "price": Text(),
        "price_data": PRICE_DATA,
        "quantity": Integer(minimum=1, maximum=999_999),
        **not_done("adjustable_quantity dynamic_tax_rates metadata tax_rates"),
    }
)
INTENT_DATA = Fields(
    {
        "description": Text(max_length=1000),
        "metadata": Metadata(),
        "setup_future_usage": Choice("off_session", "on_session"),
        **not_done(
            "application_fee_amount capture_method on_behalf_of receipt_email shipping "
            "statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
        ),
    }
)
SUBSCRIPTION_DATA = Fields(
    {
        "description": Text(max_length=500),
        "metadata": Metadata(),
        "trial_period_days": Integer(minimum=1, maximum=730),
        "trial_settings": TRIAL_SETTINGS,
        **not_done(
            "application_fee_percent billing_cycle_anchor billing_cycle_anchor_config billing_mode default_tax_rates "
            "invoice_settings on_behalf_of pending_invoice_item_interval proration_behavior transfer_data trial_end"
        ),
    }
)
CREATABLE: dict[str, Kind] = {
    "adaptive_pricing": NEVER,
    "allow_promotion_codes": Only(Flag(), False),
    "automatic_tax": AUTOMATIC_TAX,
    "billing_address_collection": Choice("auto", "required"),
    "cancel_url": Url(),
    "client_reference_id": Text(max_length=200),
    "customer": Text(),
    "customer_creation": Choice("always", "if_required"),
    "customer_email": Email(),
    "customer_update": Fields(
        {"address": Choice("auto", "never"), "name": Choice("auto", "never"), **not_done("shipping")}
    ),
    "expires_at": Integer(),
    "invoice_creation": Fields({"enabled": Only(Flag(), False), **not_done("invoice_data")}, required=("enabled",)),
    "line_items": ListOf(LINE_ITEM, max_items=20),
    "locale": Choice(*LOCALES),
    "metadata": Metadata(),
    "mode": Choice("payment", "setup", "subscription"),
    "currency": Currency(),
    "payment_intent_data": INTENT_DATA,
    "setup_intent_data": Fields(
        {"description": Text(max_length=1000), "metadata": Metadata(), **not_done("on_behalf_of")}
    ),
    "submit_type": Choice("auto", "book", "donate", "pay", "subscribe"),
    "subscription_data": SUBSCRIPTION_DATA,
    "success_url": Url(),
    "tax_id_collection": Fields(
        {"enabled": Flag(), "required": Choice("if_supported", "never")}, required=("enabled",)
    ),
    "ui_mode": Choice("hosted_page", not_done=("elements", "embedded_page", "form")),
    **not_done(
        "after_expiration branding_settings consent_collection custom_fields custom_text customer_account "
        "discounts excluded_payment_method_types integration_identifier managed_payments "
        "name_collection optional_items origin_context payment_method_collection payment_method_configuration "
        "payment_method_data payment_method_options payment_method_types permissions phone_number_collection "
        "redirect_on_completion return_url saved_payment_method_options shipping_address_collection "
        "shipping_options wallet_options"
    ),
}
BLANK_SESSION: Json = {
    "object": "checkout.session",
    "adaptive_pricing": {"enabled": False},
    "after_expiration": None,
    "allow_promotion_codes": False,
    "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
    "billing_address_collection": None,
    "client_secret": None,
    "collected_information": None,
    "consent": None,
    "consent_collection": None,
    "currency_conversion": None,
    "custom_fields": [],
    "custom_text": {
        "after_submit": None,
        "shipping_address": None,
        "submit": None,
        "terms_of_service_acceptance": None,
    },
    "customer_account": None,
    "customer_details": None,
    "discounts": [],
    "excluded_payment_method_types": [],
    "integration_identifier": None,
    "invoice": None,
    "invoice_creation": None,
    "livemode": False,
    "managed_payments": None,
    "origin_context": None,
    "payment_intent": None,
    "payment_link": None,
    "payment_method_configuration_details": None,
    "payment_method_options": {},
    "payment_method_types": ["card"],
    "payment_status": "unpaid",
    "permissions": None,
    "phone_number_collection": {"enabled": False},
    "recovered_from": None,
    "saved_payment_method_options": None,
    "setup_intent": None,
    "shipping_address_collection": None,
    "shipping_cost": None,
    "shipping_options": [],
    "status": "open",
    "subscription": None,
    "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
    "ui_mode": "hosted_page",
    "wallet_options": None,
}
