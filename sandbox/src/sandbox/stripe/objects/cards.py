"""Stripe's documented test payment methods, and what a bank says when one of them is charged."""

from dataclasses import dataclass
from typing import Final

SUCCEEDED: Final = "succeeded"
PROCESSING: Final = "processing"
AUTHENTICATION: Final = "authentication_required"

DECLINES: Final = {
    "generic_decline": ("card_declined", "Your card was declined."),
    "insufficient_funds": ("card_declined", "Your card has insufficient funds."),
    "lost_card": ("card_declined", "Your card was declined."),
    "expired_card": ("expired_card", "Your card has expired."),
    "processing_error": (
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    AUTHENTICATION: (AUTHENTICATION, "Your card was declined. This transaction requires authentication."),
}
"""By decline code: the error code and the message."""
HARD: Final = frozenset({"lost_card", "expired_card"})
"""Declines that no repetition turns into a payment."""


@dataclass(frozen=True, slots=True)
class TestMethod:
    """A payment method of the documentation: `charge` is how a charge ends, `attach` how saving it does."""

    last4: str
    brand: str = "visa"
    kind: str = "card"
    charge: str = SUCCEEDED
    attach: str = SUCCEEDED


def _refused(last4: str, code: str) -> TestMethod:
    """Refused whenever it is tried, also when it is saved."""
    return TestMethod(last4, charge=code, attach=code)


TEST_METHODS: Final = {
    "pm_card_visa": TestMethod("4242"),
    "pm_card_mastercard": TestMethod("4444", brand="mastercard"),
    "pm_card_chargeCustomerFail": TestMethod("0341", charge="generic_decline"),
    "pm_card_visa_chargeDeclined": _refused("0002", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": _refused("9995", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": _refused("9987", "lost_card"),
    "pm_card_chargeDeclinedExpiredCard": _refused("0069", "expired_card"),
    "pm_card_chargeDeclinedProcessingError": _refused("0119", "processing_error"),
    "pm_card_authenticationRequired": TestMethod("3184", charge=AUTHENTICATION, attach=AUTHENTICATION),
    "pm_card_authenticationRequiredOnSetup": TestMethod("3155", attach=AUTHENTICATION),
    "pm_usBankAccount_success": TestMethod("6789", kind="us_bank_account", charge=PROCESSING),
}
CHARGE_OUTCOMES: Final = (SUCCEEDED, PROCESSING, *DECLINES)


def decline_of(code: str) -> dict[str, str]:
    """What the API says about a decline: `advice_code`, `code`, `decline_code` and `message`."""
    error_code, message = DECLINES[code]
    advice = "do_not_try_again" if code in HARD else "try_again_later"
    return {"advice_code": advice, "code": error_code, "decline_code": code, "message": message}
