"""Decimal strings at the edges, integers inside: minor units of a currency and nano-credits."""

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer

from contracts.money import MAX_AMOUNT, NANO_PER_CREDIT

MINOR_PER_UNIT: Final = 100
NANO_PER_MINOR: Final = NANO_PER_CREDIT // MINOR_PER_UNIT
"""A cent in nano-credits: a credit is a US dollar."""
_DECIMAL: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


def parse_decimal(value: object, *, per_unit: int) -> int:
    """The whole number of smallest parts in a decimal string; raises ValueError with the reason."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise ValueError('write the amount as a decimal string, such as "20" or "0.50"')
    parts = Decimal(value) * per_unit
    if parts != parts.to_integral_value():
        raise ValueError(f"the amount has more decimals than 1/{per_unit} allows")
    if parts > MAX_AMOUNT:
        raise ValueError("the amount is too large")
    return int(parts)


def credit_text(amount_nano: int) -> str:
    """Nano-credits as decimal credits, without trailing zeros."""
    sign, (whole, rest) = "-" if amount_nano < 0 else "", divmod(abs(amount_nano), NANO_PER_CREDIT)
    return sign + f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def money_text(amount_minor: int) -> str:
    """Minor units as decimal money."""
    sign, amount = ("-", -amount_minor) if amount_minor < 0 else ("", amount_minor)
    return f"{sign}{amount // MINOR_PER_UNIT}.{amount % MINOR_PER_UNIT:02d}"


def _minor(value: object) -> int:
    return parse_decimal(value, per_unit=MINOR_PER_UNIT)


def _nano(value: object) -> int:
    return parse_decimal(value, per_unit=NANO_PER_CREDIT)


MinorText = Annotated[int, BeforeValidator(_minor), PlainSerializer(money_text, return_type=str)]
NanoText = Annotated[int, BeforeValidator(_nano), PlainSerializer(credit_text, return_type=str)]
"""Integers in the program, decimal strings in the catalogue file and in the database."""
