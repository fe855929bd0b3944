"""What a refused call says of a payment that did not go through: which card, and the bank's reason in words."""

from typing import Final

from contracts.terms import PaymentProblem

_CONFIRM: Final = "authentication_required"
_REASONS: Final = {
    "card_not_supported": "it does not support this kind of payment",
    "card_velocity_exceeded": "it has reached its limit",
    "do_not_honor": "the bank gave no reason",
    "expired_card": "it has expired",
    "generic_decline": "the bank gave no reason",
    "incorrect_cvc": "its security code is wrong",
    "incorrect_number": "its number is wrong",
    "insufficient_funds": "insufficient funds",
    "lost_card": "the bank does not allow it any more",
    "pickup_card": "the bank does not allow it any more",
    "stripe_missing": "it is not on file any more",
    "stripe_refused": "it could not be charged",
    "stolen_card": "the bank does not allow it any more",
    "withdrawal_count_limit_exceeded": "it has reached its limit",
}


def what_happened(problem: PaymentProblem) -> str:
    """One sentence, in which the card is told by brand and last four digits where they are known."""
    card = _card(problem)
    if problem.reason == _CONFIRM:
        return f"The bank wants the last payment with {card} to be confirmed; until then nothing is charged."
    why = _REASONS.get(problem.reason, problem.reason.replace("_", " "))
    return f"The last payment did not go through: {card} was declined ({why})."


def _card(problem: PaymentProblem) -> str:
    if problem.card_last4 is None:
        return "this account's card"
    brand = (problem.card_brand or "").replace("_", " ")
    named = f"{brand.capitalize() if brand.islower() else brand} card".strip()
    return f"the {named} ending in {problem.card_last4}"
