"""Whole minor units out of prices that may be finer."""

from decimal import ROUND_HALF_UP, Decimal

from sandbox.stripe.store import Json


def amount_of(price: Json, quantity: int) -> int:
    """What so many of a price cost, the half rounded up once for the whole line."""
    return rounded(Decimal(price["unit_amount_decimal"]) * quantity)


def part_of(amount_minor: int, *, start: int, end: int, since: int) -> int:
    """The share of an amount for the rest of its period."""
    if end <= start:
        return 0
    return rounded(Decimal(amount_minor) * max(0, end - max(since, start)) / (end - start))


def rounded(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))
