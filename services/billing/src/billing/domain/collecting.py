"""When and how much is taken while nobody is there: top-ups by themselves, and use that is paid afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from billing.domain.amounts import NANO_PER_MINOR

Purpose = Literal["auto_top_up", "pay_per_use"]
AttemptState = Literal["open", "succeeded", "declined", "needs_action", "given_up"]

NEEDS_CUSTOMER: Final = frozenset({"authentication_required"})
HOPELESS: Final = frozenset(
    {
        "expired_card",
        "fraudulent",
        "incorrect_number",
        "invalid_account",
        "lost_card",
        "pickup_card",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "stolen_card",
        "stop_payment_order",
    }
)
"""Declines that asking again never changes: only another card does."""
_FIRST_WAIT: Final = timedelta(hours=1)
_LONGEST_WAIT: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class TopUpRule:
    """What a customer wants: below `below_nano`, so much more, within a day's and a month's cap."""

    below_nano: int
    amount_minor: int
    day_minor: int
    month_minor: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What top-ups have taken, or may still take, of today's and this month's caps."""

    day_minor: int
    month_minor: int


def top_up_minor(
    rule: TopUpRule, *, available_nano: int, spent: Spent, least_minor: int, most_minor: int
) -> int | None:
    """One payment that closes the gap; None when nothing is missing, or no cap leaves room for the least amount.

    It lifts the balance to `amount` above the threshold, however far below it is, so that one payment is enough.
    """
    if available_nano > rule.below_nano:
        return None
    gap_minor = -(-(rule.below_nano - available_nano) // NANO_PER_MINOR)
    room = min(rule.day_minor - spent.day_minor, rule.month_minor - spent.month_minor, most_minor)
    amount = min(max(rule.amount_minor + gap_minor, least_minor), room)
    return amount if amount >= least_minor else None


def due_minor(*, open_nano: int, carry_nano: int) -> int:
    """The whole cents of what is owed; the rest is carried to the next payment."""
    return (open_nano + carry_nano) // NANO_PER_MINOR


def retry_at(ended: Sequence[tuple[AttemptState, datetime]]) -> datetime | None:
    """From when on another attempt may be made, after those that ended last (newest first); None: at once."""
    declined = 0
    for state, _ in ended:
        if state == "succeeded":
            break
        declined += 1
    if declined == 0:
        return None
    doublings = min(declined - 1, 12)
    return ended[0][1] + min(_LONGEST_WAIT, _FIRST_WAIT * (1 << doublings))


def outcome_of(status: str, failure: str | None) -> AttemptState:
    """What Stripe's state of a payment makes of our attempt."""
    match status:
        case "succeeded":
            return "succeeded"
        case "requires_action" | "requires_confirmation":
            return "needs_action"
        case "canceled":
            return "given_up"
        case "requires_payment_method":
            return "needs_action" if failure in NEEDS_CUSTOMER else "declined"
        case _:
            return "open"
