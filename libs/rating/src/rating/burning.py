"""How a call is paid: a request unit, else plan tokens, then credits, then overage (money.md 20).

Gateways hold and the ledger charges with this one rule. Everything is an integer; each part is rounded up once.
"""

from typing import NamedTuple


class Value(NamedTuple):
    """What one call is worth in every unit it could be paid in; `overage_nano` is all of it at the overage rate."""

    tokens: int
    price_nano: int
    overage_nano: int
    requests: int = 1


class Room(NamedTuple):
    """What there is to pay with; what is owed makes it negative and then pays nothing."""

    requests: int = 0
    tokens: int = 0
    credit_nano: int = 0
    overage_nano: int = 0


class Burn(NamedTuple):
    """What each unit pays. `unpaid_nano` is the share of the price that nothing pays: debt, or nothing with `warn`."""

    requests: int
    tokens: int
    credit_nano: int
    overage_nano: int
    unpaid_nano: int


def burn(value: Value, room: Room, *, request_max_price_nano: int | None = None) -> Burn:
    """Split a call over its room.

    A request unit pays the price up to its maximum, tokens their share of it; credits pay what is left of the price,
    and what they cannot pay costs the same share of the overage price, as far as there is overage room.
    """
    if value.requests and room.requests >= value.requests:
        paid_nano = value.price_nano if request_max_price_nano is None else request_max_price_nano
        rest_nano = max(0, value.price_nano - paid_nano)
        return _in_credits(
            value, room, due_nano=rest_nano, share=(rest_nano, value.price_nano), covered=(value.requests, 0)
        )
    covered = max(0, min(value.tokens, room.tokens))
    # A call without tokens has no share that tokens could pay.
    share = (value.tokens - covered, value.tokens) if value.tokens else (1, 1)
    due_nano = ceil_of(value.price_nano, *share)
    return _in_credits(value, room, due_nano=due_nano, share=share, covered=(0, covered))


def ceil_of(amount: int, numerator: int, denominator: int) -> int:
    """That share of an amount, rounded up."""
    return -(-amount * numerator // denominator) if denominator else 0


def _in_credits(value: Value, room: Room, *, due_nano: int, share: tuple[int, int], covered: tuple[int, int]) -> Burn:
    requests, tokens = covered
    credit_nano = max(0, min(due_nano, room.credit_nano))
    left_nano = due_nano - credit_nano
    if not left_nano:
        return Burn(requests, tokens, credit_nano, 0, 0)
    if room.overage_nano <= 0:
        return Burn(requests, tokens, credit_nano, 0, left_nano)
    wanted_nano = ceil_of(value.overage_nano, share[0] * left_nano, share[1] * due_nano)
    if wanted_nano <= room.overage_nano:
        return Burn(requests, tokens, credit_nano, wanted_nano, 0)
    # What the overage room still pays for, rounded down: the parts never pay more than the call.
    paid_nano = left_nano * room.overage_nano // wanted_nano
    return Burn(requests, tokens, credit_nano, room.overage_nano, left_nano - paid_nano)
