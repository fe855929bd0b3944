"""Amounts of money as the public API writes them: decimal strings in credits."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from contracts.money import MAX_AMOUNT, NANO_PER_CREDIT, Unit

_AMOUNT: Final = re.compile(r"-?[0-9]{1,7}(\.[0-9]{1,9})?", re.ASCII)


def credits_of(amount_nano: int) -> str:
    """Nano-credits as a decimal string, exact and without trailing zeros."""
    whole, nano = divmod(abs(amount_nano), NANO_PER_CREDIT)
    fraction = f".{nano:09d}".rstrip("0") if nano else ""
    return f"{'-' if amount_nano < 0 else ''}{whole}{fraction}"


def nano_of(amount_credits: str) -> int:
    """The exact nano-credits of a decimal string that `AmountCredits` let through."""
    whole, _, fraction = amount_credits.removeprefix("-").partition(".")
    nano = int(whole) * NANO_PER_CREDIT + int(fraction.ljust(9, "0"))
    return -nano if amount_credits.startswith("-") else nano


def _amount(text: str) -> str:
    if not _AMOUNT.fullmatch(text):
        raise ValueError('must be a decimal number in a string, like "12.5", with at most nine decimals')
    nano = nano_of(text)
    if nano == 0 or abs(nano) > MAX_AMOUNT:
        raise ValueError("must not be zero, nor beyond 9000000 credits")
    return text


def _positive(text: str) -> str:
    if text.startswith("-"):
        raise ValueError("must be more than zero")
    return text


AmountCredits = Annotated[str, AfterValidator(_amount)]
PositiveCredits = Annotated[str, AfterValidator(_amount), AfterValidator(_positive)]
Amount = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,16}(\.[0-9]{1,9})?$")]
"""Of any unit: which decimals it may have, the unit decides."""
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]


def amount_of(amount: int, unit: str) -> str:
    """An amount of any unit: credits as a decimal, whole tokens and requests as they are."""
    return credits_of(amount) if unit == Unit.CREDIT else str(amount)
